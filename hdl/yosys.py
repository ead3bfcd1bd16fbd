"""Yosys as a library, in a process of its own: an error there ends it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tilewright.errors import Error

__all__ = ["YosysError", "run_yosys"]

_RUN = """
import sys
from pyosys import libyosys

design = libyosys.Design()
for line in sys.argv[1:]:
    libyosys.run_pass(line, design)
"""


class YosysError(Error):
    """Yosys failed; the message has the end of what it said."""


def run_yosys(passes: Sequence[str], directory: Path) -> None:
    """Run passes on an empty design, in a directory.

    Raises
    ------
    YosysError
        If one fails.
    """
    result = subprocess.run(
        [sys.executable, "-c", _RUN, *passes],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if result.returncode:
        last = "\n".join(result.stdout.splitlines()[-15:])
        raise YosysError(f"Yosys failed; the end of what it said:\n{last}")
