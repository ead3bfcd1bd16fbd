"""Resources of engines by Yosys, and of a board's whole system with fmax by nextpnr.

    python -m benchmarks.synthesis board [--board ulx3s-85f] [--place-and-route]
    python -m benchmarks.synthesis options
    python -m benchmarks.synthesis check [--only icebreaker,ulx3s-12f]

``board`` builds a board's engine alone, out of context: its AXI ports stay ports. With
``--place-and-route``, engine, memory and host link go all the way to a bitstream. ``options``
builds a small engine, and that engine with one parameter changed, for each of ``OPTIONS``:
what a parameter costs is the difference. ``check`` has Yosys make each board's whole system anew,
without place and route, and ends with 1 if its cells are not those of the record: a bitstream in
the records is then not today's.

Each prints a table and writes JSON to ``results/``, with the commands and the versions of the
tools; ``--markdown`` also writes the table as a page's section.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import tilewright as tw
from benchmarks.output import markdown_table
from benchmarks.small_engine import SMALL_ENGINE
from tilewright.boards import BOARDS, get_board
from tilewright.boards.flow.synthesis import system_cells
from tilewright.files import write_json, write_text

RESULTS = Path(__file__).parent / "results"
WORK = Path("build/synthesis")

OPTIONS: tuple[dict[str, Any], ...] = (
    {"weight_bits": 4},
    {"bus_width": 64},
    {"requantizers": 2},
    {"requantizers": 4},
    {"rows": 8},
    {"cols": 5},
    {"multiplier_width": 31},
    {"multiplier_width": 31, "rounding": "double"},
    {"queue_depth": 32},
    {"pipelined": False},
    {"maximum": False},
    {"products": False},
    {"wide_maps": True},
    {"shared_words": True},
    {"shared_words": True, "stacked_images": True},
    {"cols": 5, "split_columns": True},
    {"requantizers": 4, "folds": 1},
    {"cols": 5, "requantizers": 8},
    {"cols": 5, "requantizers": 8, "double_reads": True},
    {"tables": 1},
    {"offset_depth": 256, "offset_fraction": 4, "mask_fraction": 0},
    {"data_width": 13, "kernel_width": 13, "partial_depth": 64},
)
COLUMNS = {
    "LUT4": "LUT4",
    "CCU2C": "CCU2C",
    "TRELLIS_FF": "FF",
    "TRELLIS_DPR16X4": "LUT RAM",
    "DP16KD": "block RAM",
    "MULT18X18D": "DSP",
}

app = typer.Typer(add_completion=False)
console = Console()
Work = Annotated[Path, typer.Option(help="Netlists and logs; up-to-date ones are reused.")]
Output = Annotated[Path, typer.Option(help="Where the JSON goes.")]
Markdown = Annotated[Path | None, typer.Option(help="Also write the table here.")]


def save(path: Path, record: dict[str, Any]) -> None:
    """Write a record, and say where."""
    write_json(path, record)
    console.print(f"{path}: written")


def board_rows(record: dict[str, Any], needed_mhz: float) -> list[list[str]]:
    """Return the cells of a board's table, heads first."""
    rows = [["primitive or site", "used", "available"]]
    rows += [[name, f"{count:,}", ""] for name, count in record["resources"].items()]
    for name, sites in (record["utilization"] or {}).items():
        rows.append([f"{name} placed", f"{sites['used']:,}", f"{sites['available']:,}"])
    if record["fmax_mhz"] is not None:
        rows.append(["fmax, MHz", f"{record['fmax_mhz']:.1f}", f"{needed_mhz:.1f} needed"])
    return rows


def change_name(change: dict[str, Any]) -> str:
    """Return a change of parameters as text."""
    return ", ".join(f"{key} {value}" for key, value in change.items())


def option_rows(records: list[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of the table of parameters, heads first; the first record is the base."""
    base = records[0]["resources"]
    rows = [["change", *COLUMNS.values()], ["none", *(f"{base[cell]:,}" for cell in COLUMNS)]]
    for record in records[1:]:
        used = record["resources"]
        cells = [f"{used[cell] - base[cell]:+,}" for cell in COLUMNS]
        rows.append([change_name(record["change"]), *cells])
    return rows


@app.command()
def board(
    board: Annotated[str, typer.Option(help="A board's name.")] = "ulx3s-85f",
    place_and_route: Annotated[bool, typer.Option(help="Go on to a bitstream.")] = False,
    work: Work = WORK,
    output: Output = RESULTS,
    markdown: Markdown = None,
) -> None:
    """Build a board's engine, or its whole system."""
    target = tw.Target.from_board(board)
    start = time.monotonic()
    result = tw.synthesize(
        target, work / board, place_and_route=place_and_route, progress=console.print
    )
    console.print(f"{time.monotonic() - start:.0f} s")
    record = {"board": board, "engine": asdict(target.engine), **json.loads(result.to_json())}
    rows = board_rows(record, target.clock_mhz)
    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)
    save(output / f"{board}-{'nextpnr' if place_and_route else 'yosys'}.json", record)
    if markdown is not None:
        write_text(markdown, markdown_table(rows))


@app.command()
def options(work: Work = WORK, output: Output = RESULTS, markdown: Markdown = None) -> None:
    """Build ``SMALL_ENGINE``, and it with each of ``OPTIONS``."""
    records: list[dict[str, Any]] = []
    for change in ({}, *OPTIONS):
        name = change_name(change)
        console.print(name or "base", style="dim")
        target = tw.Target(engine=replace(SMALL_ENGINE, **change))
        directory = work / "options" / (name or "base").replace(" ", "-")
        result = tw.synthesize(target, directory)
        records.append({"change": change, **json.loads(result.to_json())})
    rows = option_rows(records)
    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)
    save(output / "options-yosys.json", {"engine": asdict(SMALL_ENGINE), "options": records})
    if markdown is not None:
        write_text(markdown, markdown_table(rows))


@app.command()
def check(
    only: Annotated[str, typer.Option(help="Boards, several with commas.")] = "",
    work: Work = WORK,
    output: Output = RESULTS,
) -> None:
    """Compare the cells of each board's system with those of its record."""
    stale = False
    for name in only.split(",") if only else BOARDS.all():
        path = output / f"{name}-nextpnr.json"
        recorded = json.loads(path.read_text())["resources"] if path.exists() else None
        cells = system_cells(get_board(name), work / "check" / name)
        same = cells == recorded
        stale |= not same
        console.print(name, cells, "as recorded" if same else f"not as recorded: {recorded}")
    raise typer.Exit(1 if stale else 0)


if __name__ == "__main__":
    app()
