"""How long ``tilewright --help`` takes, beside a command line of typer and rich that does nothing.

Prints processor seconds (user and system), the least of several runs, and their ratio.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

NOTHING = '''
import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True)


@app.command()
def one(name: str) -> None:
    """Do nothing."""


@app.command()
def two(name: str) -> None:
    """Do nothing either."""


app()
'''


def seconds(command: Sequence[str], runs: int) -> float:
    """Return the processor seconds of a command, the least of several runs."""
    least = float("inf")
    for _ in range(runs):
        before = os.times()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        children = ("children_user", "children_system")
        least = min(least, sum(getattr(after, name) - getattr(before, name) for name in children))
    return least


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "nothing.py"
        script.write_text(NOTHING)
        least = seconds([sys.executable, str(script), "--help"], runs)
    code = "import sys; from tilewright.cli import app; app(['--help'])"
    ours = seconds([sys.executable, "-c", code], runs)
    plain = seconds([sys.executable, "-c", "import tilewright"], runs)
    bare = seconds([sys.executable, "-c", "pass"], runs)
    table = Table("what", "seconds", "to typer + rich")
    rows = {
        "typer + rich, --help": least,
        "tilewright --help": ours,
        "import tilewright": plain,
        "Python alone": bare,
    }
    for name, value in rows.items():
        table.add_row(name, f"{value:.2f}", f"{value / least:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
