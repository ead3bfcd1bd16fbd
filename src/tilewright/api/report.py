"""A page about programs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tilewright.errors import Error, require_type
from tilewright.exploration.points import Point
from tilewright.files import write_text
from tilewright.program import AnyProgram, HostedProgram, Program
from tilewright.program.hosted import host_lines
from tilewright.reports.analysis import analyse
from tilewright.reports.page import page

__all__ = ["report"]


def report(
    programs: AnyProgram | Mapping[str, AnyProgram],
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
    programs : one, or several by name; of one with parts for the host, each of the engine's
        programs is shown, and what the host computes is said
    front : engines of a search, as :attr:`Exploration.points` has them
    title : of the page; the names of the programs if None

    Raises
    ------
    Error  If there is nothing to show, or Altair and vl-convert are not installed.
    FileError  If the file cannot be written.
    """
    require_type("report", "programs", programs, Program, HostedProgram, Mapping)
    named = dict(programs) if isinstance(programs, Mapping) else {"network": programs}
    for name, program in named.items():
        require_type("report", f"programs[{name!r}]", program, Program, HostedProgram)
    if not named and not front:
        raise Error("report: there is no program to show")
    parts = [part for name, program in named.items() for part in _parts(name, program)]
    text = page(
        [analyse(program, name) for name, program in parts],
        front,
        hosts={n: tuple(host_lines(p)) for n, p in named.items() if isinstance(p, HostedProgram)},
        title=", ".join(named) if title is None else title,
    )
    write_text(path, text)
    return Path(path)


def _parts(name: str, program: AnyProgram) -> Iterator[tuple[str, Program]]:
    """Return the engine's programs with the names that the page gives them."""
    if isinstance(program, Program):
        yield name, program
        return
    for number, part in enumerate(program.programs, 1):
        yield f"{name}, part {number}", part
