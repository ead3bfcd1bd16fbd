"""``tilewright report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import tilewright as tw
from tilewright.cli.tables import console
from tilewright.errors import Error


def report(
    programs: Annotated[
        list[Path],
        typer.Argument(help="Program files that `compile` wrote; several are shown side by side."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page, one HTML file.")
    ],
    search: Annotated[
        Path | None,
        typer.Option(
            "--search",
            metavar="FILE",
            help="Also show the engines of a search: what `explore` wrote with --json, or keeps "
            "with --storage.",
        ),
    ] = None,
) -> None:
    """Write a page about programs: where time and energy go, layer by layer."""
    named: dict[str, tw.Program | tw.HostedProgram] = {}
    for path in programs:
        if path.stem in named:
            raise Error(f"{path}: there are two programs of the name {path.stem!r}")
        named[path.stem] = tw.load(path)
    front = () if search is None else tw.Exploration.load(search).points
    with console.status("report"):
        tw.report(named, output, front=front)
    console.print(f"{output}: written")
