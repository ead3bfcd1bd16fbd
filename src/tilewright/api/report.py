"""A page about programs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tilewright.errors import Error, require_type
from tilewright.exploration.points import Point
from tilewright.files import write_text
from tilewright.program import Program
from tilewright.reports.analysis import analyse
from tilewright.reports.page import page

__all__ = ["report"]


def report(
    programs: Program | Mapping[str, Program],
    path: str | os.PathLike[str],
    *,
    front: Sequence[Point] = (),
    title: str | None = None,
) -> Path:
    """Write a page about a program, or several side by side; return its path.

    The page is one file that loads nothing: summary, layers, roofline, where cycles go, timeline,
    buffers, energy and its sources.

    Parameters
    ----------
    programs : one, or several by name
    front : engines of a search, as :attr:`Exploration.points` has them
    title : of the page; the names of the programs if None

    Raises
    ------
    Error  If there is nothing to show, or Altair and vl-convert are not installed.
    FileError  If the file cannot be written.
    """
    require_type("report", "programs", programs, Program, Mapping)
    named = {"network": programs} if isinstance(programs, Program) else dict(programs)
    for name, program in named.items():
        require_type("report", f"programs[{name!r}]", program, Program)
    if not named and not front:
        raise Error("report: there is no program to show")
    text = page(
        [analyse(program, name) for name, program in named.items()],
        front,
        title=", ".join(named) if title is None else title,
    )
    write_text(path, text)
    return Path(path)
