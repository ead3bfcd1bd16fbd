"""``tilewright estimate``."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table

import tilewright as tw
from tilewright.cli.files import write_json
from tilewright.cli.options import JsonOption, ProgramArgument
from tilewright.cli.tables import console


def estimate(program: ProgramArgument, json_path: JsonOption = None) -> None:
    """Estimate resources, latency and traffic of a program."""
    figures = tw.estimate(tw.Program.load(program))
    table = Table("figure", "value", "error")
    for name, entry in figures.items():
        error = "exact" if entry.relative_error == 0 else f"±{entry.relative_error:.0%}"
        table.add_row(name, f"{entry.value:,.6g} {entry.unit}", f"{error}; {entry.basis}")
    console.print(table)
    write_json(json_path, {name: asdict(entry) for name, entry in figures.items()})
