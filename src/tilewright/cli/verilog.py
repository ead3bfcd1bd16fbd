"""``tilewright verilog``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import tilewright as tw
from tilewright.cli.options import BoardOption, EngineOption, OwnEngineArgument, SetOption
from tilewright.cli.tables import console
from tilewright.cli.targets import target_of


def verilog(
    program: OwnEngineArgument = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the Verilog goes.")
    ] = Path("build/rtl"),
    board: BoardOption = None,
    engine: EngineOption = None,
    settings: SetOption = None,
) -> None:
    """Write the Verilog of an engine: a program's own, a board's, or any other."""
    target = target_of(program, board, engine, settings)
    with console.status("Verilog"):
        path = tw.generate_verilog(target, output)
    console.print(f"{path}: {path.stat().st_size:,} bytes", soft_wrap=True)
