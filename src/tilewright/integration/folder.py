"""The folder that an integrator takes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tilewright.errors import require_type
from tilewright.files import write_text
from tilewright.hdl.verilog import TOP, engine_verilog
from tilewright.integration.notes import constraints, notes
from tilewright.integration.registers import MAP, c_header, register_map
from tilewright.target import Target, require_target

__all__ = ["Integration", "write_integration"]


@dataclass(frozen=True)
class Integration:
    """What was written.

    Parameters
    ----------
    verilog : Path, the engine
    register_map : Path, SystemRDL
    header : Path, C
    constraints : Path, SDC
    notes : Path, Markdown: ports, buses, how a run goes
    """

    verilog: Path
    register_map: Path
    header: Path
    constraints: Path
    notes: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """All of it."""
        return (self.verilog, self.register_map, self.header, self.constraints, self.notes)


def write_integration(target: Target, directory: str | os.PathLike[str]) -> Integration:
    """Write an engine as others take it into their designs.

    Parameters
    ----------
    target : Target; the constraints are for its clock
    directory : where the files go

    Raises
    ------
    Error
        If an argument is of another type, or a file cannot be written.
    """
    require_target("write_integration", target)
    require_type("write_integration", "directory", directory, str, os.PathLike)
    folder = Path(directory)
    rdl = register_map(target.engine)
    verilog = engine_verilog(target.engine)
    written = Integration(
        folder / f"{TOP}.v",
        folder / f"{MAP}.rdl",
        folder / f"{MAP}.h",
        folder / f"{TOP}.sdc",
        folder / "README.md",
    )
    texts = (verilog, rdl, c_header(rdl), constraints(target), notes(target, verilog))
    for path, text in zip(written.files, texts, strict=True):
        write_text(path, text)
    return written
