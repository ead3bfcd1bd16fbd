"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelArgument = Annotated[
    str,
    typer.Argument(
        help="Python file and function, as in net.py:make: called without arguments, it returns "
        "(model, example_inputs)."
    ),
]
ProgramArgument = Annotated[Path, typer.Argument(help="Program file written by `compile`.")]
BoardOption = Annotated[str, typer.Option(help="Board to compile for.")]
InputsOption = Annotated[
    Path | None,
    typer.Option(help=".npy file of (N, C, H, W) floats, or integers on the input's grid."),
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")]
DEFAULT_BOARD = "ulx3s-85f"
