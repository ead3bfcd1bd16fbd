r"""An engine that a search found, synthesized: what it takes, beside what the search said.

    tilewright explore mobilenet_v2.tq --board ulx3s-85f --evaluations 300 --jobs 2 \
        --storage search.db
    python -m benchmarks.explored search.db

Of the engines that no other one beats, taken is the one that is better than the board's own in most
objectives, by the largest factor. Yosys synthesizes it alone; cells are compared with the
estimate's, and with the sites that the FPGA has beside the rest of the board's system.
"""

from __future__ import annotations

from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import tilewright as tw
from benchmarks.estimates import synthesized
from tilewright.boards import get_board
from tilewright.boards.families import get_family
from tilewright.estimation.cells import systems_share
from tilewright.estimation.figures import Figure, plain
from tilewright.estimation.resources import resources_of
from tilewright.exploration.points import Exploration, Point
from tilewright.files import write_json

RESULTS = Path(__file__).parent / "results" / "explored.json"

console = Console(highlight=False)


def ratios(point: Point, default: Point) -> dict[str, float]:
    """Return a point's values by objective, of the board's own engine's."""
    return {name: value / default.values[name] for name, value in point.values.items()}


def best(found: Exploration) -> Point:
    """Return the engine of the front that is better than the board's own in most objectives.

    Raises
    ------
    Error
        If none is better in two, or the board's own was not tried.
    """
    default = found.default
    if default is None:
        raise tw.Error("the board's own engine is not among the points")

    def merit(point: Point) -> tuple[int, float]:
        of = ratios(point, default).values()
        return sum(ratio < 1 for ratio in of), -prod(of)

    taken = max((p for p in found.front if p.choice.engine != default.choice.engine), key=merit)
    if merit(taken)[0] < 2:
        raise tw.Error("no engine of the front is better than the board's own in two objectives")
    return taken


def compared(point: Point, board: str) -> dict[str, Any]:
    """Return an engine's cells by synthesis and by estimate, and the sites that it may take."""
    own, config = get_board(board), point.choice.engine
    made = synthesized(config)
    beside, available = systems_share(config, own), get_family(own.family).sites(own.part)
    cells: dict[str, dict[str, float]] = {}
    for kind, figure in resources_of(config, own).cells.items():
        assert isinstance(figure, Figure)
        row = {"synthesized": made["cells"][kind], "estimated": figure.value}
        row |= {"low": figure.low, "high": figure.high}
        if kind in available:
            row["available"] = available[kind] - beside.get(kind, 0)
        cells[kind] = row
    return {"cells": cells, "seconds": made["seconds"]}


def front_rows(record: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the table of the front and the board's own, heads first."""
    own = {**record["default"], "name": f"{record['default']['name']} (the board's)"}
    table = [["engine", *own["values"]]]
    for point in (*record["front"], own):
        table.append([point["name"], *(plain(value) for value in point["values"].values())])
    return table


def rows(record: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the table of a record, heads first."""
    table = [["cells", "synthesized", "estimated", "range", "of"]]
    for kind, n in record["cells"].items():
        available = f"{n['available']:,}" if "available" in n else ""
        span = f"{n['low']:,.0f} .. {n['high']:,.0f}"
        table.append([kind, f"{n['synthesized']:,}", f"{n['estimated']:,.0f}", span, available])
    return table


def main(
    search: Annotated[Path, typer.Argument(help="What `explore` keeps, or wrote with --json.")],
    output: Annotated[Path, typer.Option(help="Record.")] = RESULTS,
) -> None:
    """Synthesize the engine of a search that is best beside the board's own."""
    found = Exploration.load(search)
    taken, default = best(found), found.default
    assert default is not None
    console.print(f"{taken.name}: {ratios(taken, default)} of {default.name}")
    record = {
        "board": found.board,
        "evaluated": len(found.points) + found.refused,
        "front": [{"name": p.name, "values": dict(p.values)} for p in found.front],
        "default": {"name": default.name, "values": dict(default.values)},
        "taken": {"name": taken.name, "engine": asdict(taken.choice.engine)},
        **compared(taken, found.board),
    }
    write_json(output, record)
    heads, *cells = rows(record)
    table = Table(*heads)
    for row in cells:
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
