"""``tilewright synth``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

import tilewright as tw
from tilewright.cli.options import DEFAULT_BOARD, BoardOption
from tilewright.cli.tables import console


def synth(
    directory: Annotated[Path, typer.Argument(help="Where the results go.")] = Path("build/synth"),
    board: BoardOption = DEFAULT_BOARD,
    place_and_route: Annotated[
        bool, typer.Option(help="Also place, route and write a bitstream, for the board's system.")
    ] = False,
) -> None:
    """Synthesize an engine with Yosys, and place and route it with nextpnr."""
    result = tw.synthesize(
        tw.Target.from_board(board),
        directory,
        place_and_route=place_and_route,
        progress=console.print,
    )
    table = Table("resource", "count")
    for name, count in result.resources.items():
        table.add_row(name, f"{count:,}")
    console.print(table)
    if result.fmax_mhz is not None:
        console.print(f"fmax {result.fmax_mhz:.1f} MHz")
    if result.bitstream is not None:
        console.print(f"bitstream {result.bitstream}")
