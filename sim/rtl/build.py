"""Verilog and the C++ bench to a shared library, cached by content."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from tilewright.cache import cached, digest
from tilewright.isa import EngineConfig
from tilewright.sim.rtl.tools import RtlError, check_programs, environment, verilator_root, versions

__all__ = ["TOP", "build"]

TOP = "tilewright_engine"
HARNESS = Path(__file__).parent / "harness"

VERILATOR_FLAGS = (
    "-O3",
    "--x-assign", "fast",
    "--x-initial", "fast",
    "--noassert",
    "-Wno-fatal",
    "-Wno-lint",
    "--output-split", "20000",
    "--savable",
)  # fmt: skip
# A bench is loaded beside others, of other engines, with classes of the same names: nothing may
# bind across libraries.
CXX_FLAGS = "-std=c++20 -fPIC -fvisibility=hidden -fno-gnu-unique"
LINK_FLAGS = "-shared -Wl,-Bsymbolic"
# Code that runs once is left unoptimized, which halves the build; -O2 simulates 10 % faster than
# -O1 but builds for 8 s more (16 x 7).
MAKE_FLAGS = "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O2"


def build(
    config: EngineConfig,
    *,
    verilog: str,
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
        The engine; top module ``TOP``.
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
    harness = [path for path in sorted(HARNESS.iterdir()) if path.suffix in (".cpp", ".h", ".v")]
    parts = [verilog, *(path.read_text() for path in harness), versions(), *VERILATOR_FLAGS]
    key = digest([*parts, CXX_FLAGS, LINK_FLAGS, MAKE_FLAGS, f"{config.bus_bytes} {waves}"])

    def make(library: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="rtl-", dir=library.parent) as name:
            work = Path(name)
            os.replace(_compile(work, config, verilog, waves=waves, jobs=jobs), library)

    folder = None if cache_dir is None else Path(cache_dir)
    return cached("rtl", key, "so", make, folder=folder)


def _compile(work: Path, config: EngineConfig, verilog: str, *, waves: bool, jobs: int) -> Path:
    source = work / f"{TOP}.v"
    source.write_text(verilog)
    definitions = f"-DBUS_BYTES={config.bus_bytes}" + (" -DWAVES" if waves else "")
    command = [
        str(verilator_root() / "bin" / "verilator"),
        "--cc", "--exe", "--build", "-j", str(jobs),
        *VERILATOR_FLAGS,
        *(["--trace-vcd"] if waves else []),
        "--prefix", "Vtop",
        "--top-module", TOP,
        "--Mdir", str(work / "obj"),
        "-CFLAGS", f"{CXX_FLAGS} {definitions} -I{HARNESS}",
        "-LDFLAGS", LINK_FLAGS,
        "-MAKEFLAGS", MAKE_FLAGS,
        "-o", str(work / "bench.so"),
        str(source),
        *(str(path) for path in sorted(HARNESS.glob("*.v"))),  # models of primitives
        str(HARNESS / "harness.cpp"),
    ]  # fmt: skip
    result = subprocess.run(
        command,
        cwd=work,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        last = "\n".join(result.stdout.splitlines()[-20:])
        raise RtlError(f"Verilator could not build the engine:\n{last}")
    return work / "bench.so"
