"""Verilator's own C++ sources, which every simulator has: compiled once, into one object."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tilewright.cache import cached, digest
from tilewright.sim.rtl.tools import run_tool, verilator_root, versions

__all__ = ["WITHOUT_RUNTIME", "runtime_object"]

#: To make, for a simulator that is linked with :func:`runtime_object` instead.
WITHOUT_RUNTIME = ("VM_GLOBAL_FAST=", "VM_GLOBAL_SLOW=")

_DESIGN = "module any(input i, output o); assign o = i; endmodule\n"
_MAKEFILE = """
include Vtop.mk
runtime.o: $(VK_GLOBAL_OBJS)
	$(LINK) -r -nostdlib -o $@ $^
"""


def runtime_object(
    arguments: Sequence[str], make_arguments: Sequence[str], *, folder: Path | None = None
) -> Path:
    """Return an object file of what Verilator adds to any design; made once.

    It takes longer to compile than an engine of 4 x 4. What a design needs beyond it is an error
    when it is linked.

    Parameters
    ----------
    arguments : Verilator's, those that the design is built with
    make_arguments : make's, likewise
    folder : of the cache; the usual one if None

    Raises
    ------
    RtlError
        If a tool fails.
    """

    def make(path: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="runtime-", dir=path.parent) as name:
            work = Path(name)
            (work / "any.v").write_text(_DESIGN)
            (work / "runtime.mk").write_text(_MAKEFILE)
            verilator = str(verilator_root() / "bin" / "verilator")
            flags = ["--cc", "--prefix", "Vtop", "--top-module", "any", "--Mdir", "."]
            run_tool([verilator, *flags, *arguments, "any.v"], work)
            run_tool(["make", "-f", "runtime.mk", *make_arguments, "runtime.o"], work)
            os.replace(work / "runtime.o", path)

    key = digest([versions(), _DESIGN, _MAKEFILE, *arguments, "make", *make_arguments])
    return cached("runtime", key, "o", make, folder=folder)
