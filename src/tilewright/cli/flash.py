"""``tilewright flash``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tilewright.cli.tables import console


def flash(
    bitstream: Annotated[
        Path, typer.Argument(metavar="FILE", help="Bitstream that `synth --place-and-route` wrote.")
    ],
    board: Annotated[str, typer.Option(metavar="NAME", help="The board that is plugged in.")],
    permanent: Annotated[
        bool, typer.Option("--permanent", help="Write its flash memory, to stay after power-down.")
    ] = False,
) -> None:
    """Configure a board."""
    from tilewright.device import flash as configure

    configure(bitstream, board, permanent=permanent, progress=console.print)
