"""``tilewright verilog``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import tilewright as tw
from tilewright.cli.options import DEFAULT_BOARD, BoardOption
from tilewright.cli.tables import console


def verilog(
    directory: Annotated[Path, typer.Argument(help="Where the Verilog goes.")] = Path("build/rtl"),
    board: BoardOption = DEFAULT_BOARD,
) -> None:
    """Write an engine's Verilog."""
    with console.status("Verilog"):
        path = tw.generate_verilog(tw.Target.from_board(board), directory)
    console.print(f"{path}: {path.stat().st_size:,} bytes")
