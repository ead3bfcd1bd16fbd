"""Verilog and the C++ bench to a shared library, cached by content."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tilewright.cache import cached, digest
from tilewright.hdl.families import get_family
from tilewright.isa import EngineConfig
from tilewright.sim.rtl.runtime import WITHOUT_RUNTIME, runtime_object
from tilewright.sim.rtl.tools import check_programs, run_tool, verilator_root, versions

__all__ = ["TOP", "build"]

TOP = "tilewright_engine"
BENCH = "harness.cpp"
HARNESS = Path(__file__).parent / "harness"

VERILATOR_FLAGS = (
    "-O3",
    "--x-assign", "fast",
    "--x-initial", "fast",
    "--noassert",
    "-Wno-fatal",
    "-Wno-lint",
    "--savable",
)  # fmt: skip
# Files of a large design are compiled side by side, with a precompiled header; that of a small one
# in a quarter less time all at once.
SMALL_VERILOG = 4_000_000  # characters; 8 x 7 is small, 16 x 7 is not
SPLIT, UNSPLIT = ("--output-split", "20000"), ("--output-split", "0")
# A bench is loaded beside others, of other engines, with classes of the same names: nothing may
# bind across libraries.
CXX_FLAGS = "-std=c++20 -fPIC -fvisibility=hidden -fno-gnu-unique"
LINK_FLAGS = "-shared -Wl,-Bsymbolic -Wl,-z,defs"
# Code that runs once is left unoptimized, which halves the build; -O2 simulates 10 % faster than
# -O1 but builds for 8 s more (16 x 7).
MAKE_FLAGS = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O2")


def build(
    config: EngineConfig,
    *,
    verilog: str,
    top: str = TOP,
    bench: str = BENCH,
    sdram: bool = False,
    cache_dir: Path | str | None = None,
    waves: bool = False,
    jobs: int = 2,
) -> Path:
    """Return the shared library of an engine on the bench; build it unless the cache has it.

    Parameters
    ----------
    config : EngineConfig
        Gives the bus width.
    verilog : str
        The engine; or, for another bench, what it is for.
    top : str
        Its top module.
    bench : str
        The C++ around it, a file of ``harness``.
    sdram : bool
        It ends at the pins of an SDRAM, not at a bus.
    cache_dir : path, optional
        Where libraries stay; :func:`tilewright.cache.cache_folder` if none.
    waves : bool
        Build one that can record waveforms; it is slower even when it does not.
    jobs : int
        Compilers at once.

    Raises
    ------
    RtlError
        If a tool is missing or fails; the message ends with the tool's last lines.
    """
    check_programs()
    harness = [path for path in sorted(HARNESS.iterdir()) if path.suffix in (".cpp", ".h")]
    model: Path | None = get_family(config.dsp).model
    models = [] if model is None else [model]
    split = UNSPLIT if len(verilog) < SMALL_VERILOG else SPLIT
    flags = (*VERILATOR_FLAGS, *split, *(["--trace-vcd"] if waves else []))
    parts = [verilog, *(path.read_text() for path in harness + models)]
    parts += [versions(), *flags, *MAKE_FLAGS]
    defined = {"SDRAM": sdram, "WAVES": waves}
    definitions = f"-DBUS_BYTES={config.bus_bytes}"
    definitions += "".join(f" -D{name}" for name, on in defined.items() if on)
    key = digest([*parts, top, bench, CXX_FLAGS, LINK_FLAGS, definitions])
    folder = None if cache_dir is None else Path(cache_dir)

    def make(library: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="rtl-", dir=library.parent) as name:
            work = Path(name)
            (work / f"{top}.v").write_text(verilog)
            _verilate(work, top, bench, flags, definitions, models)
            runtime = runtime_object([*flags, "-CFLAGS", CXX_FLAGS], MAKE_FLAGS, folder=folder)
            options = [*MAKE_FLAGS, *WITHOUT_RUNTIME, f"LIBS={runtime}", f"-j{jobs}"]
            run_tool(["make", "-f", "Vtop.mk", *options], work / "obj")
            os.replace(work / "bench.so", library)

    return cached("rtl", key, "so", make, folder=folder)


def _verilate(
    work: Path,
    top: str,
    bench: str,
    flags: Sequence[str],
    definitions: str,
    models: Sequence[Path],
) -> None:
    """Write the C++ of ``top`` and of the bench around it, and the makefile, to ``work/obj``."""
    command = [
        str(verilator_root() / "bin" / "verilator"),
        "--cc", "--exe",
        *flags,
        "--prefix", "Vtop",
        "--top-module", top,
        "--Mdir", "obj",
        "-CFLAGS", f"{CXX_FLAGS} {definitions} -I{HARNESS}",
        "-LDFLAGS", LINK_FLAGS,
        "-o", "../bench.so",
        f"{top}.v",
        *map(str, models),  # of primitives
        str(HARNESS / bench),
    ]  # fmt: skip
    run_tool(command, work)
