"""``tilewright synth``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

import tilewright as tw
from tilewright.cli.options import BoardOption, EngineOption, OwnEngineArgument, SetOption
from tilewright.cli.tables import console
from tilewright.cli.targets import target_of


def synth(
    program: OwnEngineArgument = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the results go.")
    ] = Path("build/synth"),
    board: BoardOption = None,
    engine: EngineOption = None,
    settings: SetOption = None,
    place_and_route: Annotated[
        bool,
        typer.Option(
            "--place-and-route",
            help="Also place, route and write a bitstream, for the board's whole system.",
        ),
    ] = False,
    host_link: Annotated[
        str | None,
        typer.Option(
            "--host-link",
            metavar="serial|usb",
            help="How a host reaches the whole system: the board's serial line (the default), or a "
            "USB connector that goes to the FPGA.",
        ),
    ] = None,
) -> None:
    """Synthesize an engine: a program's own, a board's, or any other.

    With Yosys, and with nextpnr for placement, routing and a bitstream.
    """
    result = tw.synthesize(
        target_of(program, board, engine, settings),
        output,
        place_and_route=place_and_route,
        link=host_link,
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
