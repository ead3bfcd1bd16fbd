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
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the files go.")
    ] = Path("build/rtl"),
    board: BoardOption = None,
    engine: EngineOption = None,
    settings: SetOption = None,
) -> None:
    """Write an engine for other designs: a program's own, a board's, or any other.

    Verilog, its registers as SystemRDL and for C, its clock as SDC, and notes on its buses.
    """
    target = target_of(program, board, engine, settings)
    with console.status("Verilog"):
        written = tw.write_integration(target, output)
    for path in written.files:
        console.print(f"{path}: {path.stat().st_size:,} bytes", soft_wrap=True)
