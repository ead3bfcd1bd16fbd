"""``tilewright estimate``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

import tilewright as tw
from tilewright.cli.files import is_program, load_network, write_json
from tilewright.cli.options import BoardOption, EngineOption, JsonOption, MemoryOption, SetOption
from tilewright.cli.tables import console
from tilewright.cli.targets import chosen_target, refuse_options


def estimate(
    network: Annotated[
        str,
        typer.Argument(
            help="Program file that `compile` wrote; or a network as `compile` takes it, and the "
            "engine by the options."
        ),
    ],
    board: BoardOption = None,
    engine: EngineOption = None,
    settings: SetOption = None,
    memory: MemoryOption = None,
    json_path: JsonOption = None,
) -> None:
    """Estimate what a program will cost: time, memory traffic, multipliers, energy."""
    if is_program(network):
        refuse_options(Path(network), board, engine, settings, memory)
        program = tw.Program.load(network)
    else:
        target = chosen_target(board, engine, settings, memory)
        model, examples = load_network(network)
        with console.status("compile"):
            program = tw.compile(model, examples, target)
    figures = tw.estimate(program)
    table = Table("figure", "value", "error")
    for name, entry in figures.items():
        error = "exact" if entry.relative_error == 0 else f"±{entry.relative_error:.0%}"
        table.add_row(name, f"{entry.value:,.6g} {entry.unit}", f"{error}; {entry.basis}")
    console.print(table)
    write_json(json_path, {name: asdict(entry) for name, entry in figures.items()})
