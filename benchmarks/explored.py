r"""A search that is killed half way and goes on; an engine that it found, synthesized.

    python -m benchmarks.explored search mobilenet_v2 [--evaluations 300] [--jobs 2] \
        [--storage build/search.db]
    python -m benchmarks.explored synthesize build/search.db

``search`` runs `tilewright explore` for a network of ``examples.networks`` on a board, kills it by
SIGKILL when half of the engines have been evaluated, and runs it again until all have; printed are
seconds of the clock and of all cores, and what was lost.

``synthesize`` takes of the engines that no other one beats the one that is better than the board's
own in most objectives, by the largest factor. Yosys synthesizes it alone; cells are compared with
the estimate's, and with the sites that the FPGA has beside the rest of the board's system.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import tilewright as tw
from benchmarks.estimates import synthesized
from benchmarks.output import table_of
from examples.networks import NETWORKS
from tilewright.boards import get_board
from tilewright.boards.families import get_family
from tilewright.estimation.cells import systems_share
from tilewright.estimation.figures import Figure, plain
from tilewright.estimation.resources import resources_of
from tilewright.exploration.points import Exploration, Point
from tilewright.files import write_json

RESULTS = Path(__file__).parent / "results" / "explored.json"

#: Between looks at what a search has done, in seconds.
_PAUSE = 0.5

app = typer.Typer(add_completion=False)
console = Console(highlight=False)


def evaluated(storage: Path) -> dict[int, float]:
    """Return what is in a search's file so far: by number, an engine's first objective."""
    if not storage.exists():
        return {}
    query = (
        "SELECT number, value FROM trials JOIN trial_values USING (trial_id) "
        "WHERE state = 'COMPLETE' AND objective = 0"
    )
    with closing(sqlite3.connect(f"file:{storage}?mode=ro", uri=True)) as database:
        try:
            return dict(database.execute(query).fetchall())
        except sqlite3.OperationalError:  # its tables are being made
            return {}


def core_seconds(session: int) -> dict[int, float]:
    """Return the seconds of a core that each process of a session has used."""
    ticks = os.sysconf("SC_CLK_TCK")
    used = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has ended
            continue
        if int(fields[3]) == session:
            used[int(entry.name)] = (int(fields[11]) + int(fields[12])) / ticks
    return used


def run(arguments: list[str], storage: Path, kill_at: int | None) -> dict[str, float]:
    """Run a search to its end, or kill it when so many engines have been evaluated."""
    begin, used = time.monotonic(), dict[int, float]()
    with subprocess.Popen(arguments, start_new_session=True) as process:
        while process.poll() is None:
            used |= core_seconds(process.pid)
            if kill_at is not None and len(evaluated(storage)) >= kill_at:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(_PAUSE)
    if process.returncode != (0 if kill_at is None else -signal.SIGKILL):
        raise tw.Error(f"the search ended with {process.returncode}")
    return {
        "evaluated": len(evaluated(storage)),
        "seconds": round(time.monotonic() - begin, 1),
        "core_seconds": round(sum(used.values()), 1),
    }


@app.command()
def search(
    network: Annotated[str, typer.Argument(help="Of examples.networks.")] = "mobilenet_v2",
    board: Annotated[str, typer.Option(help="Whose FPGA.")] = "ulx3s-85f",
    evaluations: Annotated[int, typer.Option(help="Engines.")] = 300,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 2,
    storage: Annotated[Path, typer.Option(help="The search's file; a new one.")] = Path(
        "build/search.db"
    ),
    output: Annotated[Path, typer.Option(help="Record.")] = RESULTS,
) -> None:
    """Search, kill the search half way, and let it go on."""
    if storage.exists():
        raise tw.Error(f"{storage} is there: this search begins anew")
    storage.parent.mkdir(parents=True, exist_ok=True)
    found = NETWORKS[network]
    quantized = storage.with_suffix(".tq")
    tw.quantize(found.build(), found.calibration(2, 2)).save(quantized)
    explore = [
        *(str(Path(sys.executable).with_name("tilewright")), "explore", str(quantized)),
        *("--board", board),
        *("--evaluations", str(evaluations), "--jobs", str(jobs), "--storage", str(storage)),
    ]
    first = run(explore, storage, evaluations // 2)
    before = evaluated(storage)
    second = run(explore, storage, None)
    after = evaluated(storage)
    record = json.loads(output.read_text()) if output.exists() else {}
    record["search"] = {
        "network": network,
        "jobs": jobs,
        "killed": first,
        "resumed": second,
        "lost": sum(after.get(number) != value for number, value in before.items()),
    }
    write_json(output, record)
    console.print(record["search"])


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


def search_rows(record: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the table of a search's two parts, heads first."""
    parts, lost = record["search"], record["search"]["lost"]
    table = [["search", "evaluated by its end", "s", "s of all cores", "lost"]]
    for name in ("killed", "resumed"):
        part = parts[name]
        counts = [f"{part['evaluated']}", f"{part['seconds']:.0f}", f"{part['core_seconds']:.0f}"]
        table.append([name, *counts, f"{lost}" if name == "resumed" else ""])
    both = [sum(parts[name][what] for name in ("killed", "resumed"))
            for what in ("seconds", "core_seconds")]  # fmt: skip
    table.append(["both", "", *(f"{seconds:.0f}" for seconds in both), ""])
    return table


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


@app.command()
def synthesize(
    search: Annotated[Path, typer.Argument(help="What `explore` keeps, or wrote with --json.")],
    output: Annotated[Path, typer.Option(help="Record.")] = RESULTS,
) -> None:
    """Synthesize the engine of a search that is best beside the board's own."""
    found = Exploration.load(search)
    taken, default = best(found), found.default
    assert default is not None
    console.print(f"{taken.name}: {ratios(taken, default)} of {default.name}")
    record = (json.loads(output.read_text()) if output.exists() else {}) | {
        "board": found.board,
        "evaluated": len(found.points) + found.refused,
        "front": [{"name": p.name, "values": dict(p.values)} for p in found.front],
        "default": {"name": default.name, "values": dict(default.values)},
        "taken": {"name": taken.name, "engine": asdict(taken.choice.engine)},
        **compared(taken, found.board),
    }
    write_json(output, record)
    console.print(table_of(rows(record)))


if __name__ == "__main__":
    app()
