"""Yosys as a library, in a process of its own: an error there ends it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tilewright.errors import Error

__all__ = ["LOG", "YosysError", "run_yosys"]

#: What Yosys says, in the directory where it runs.
LOG = "yosys.log"

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
    """Run passes on an empty design, in a directory; what Yosys says goes to ``LOG`` there.

    Raises
    ------
    YosysError
        If one fails.
    """
    path = directory / LOG
    path.unlink(missing_ok=True)
    with path.open("x") as log:
        result = subprocess.run(
            [sys.executable, "-c", _RUN, *passes],
            cwd=directory,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode:
        last = "\n".join(path.read_text(errors="replace").splitlines()[-15:])
        raise YosysError(f"Yosys failed; the end of {path}:\n{last}")
