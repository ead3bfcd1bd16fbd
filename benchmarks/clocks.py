r"""Clocks of systems that were placed and routed, and how well others are told from them.

    python -m benchmarks.clocks route [--board ulx3s-12f] [--count 12] [--minutes 30]
    python -m benchmarks.clocks keep

``route`` places and routes a board's whole system with small engines, those of
:mod:`benchmarks.drawn` that fit it, one after another; records go to ``results/routed.json``,
from which a run that was interrupted goes on. ``keep`` (and ``benchmarks.estimates fit``) hands
them, and the boards' own systems, to estimates, and prints how far each is from what the others
say of it.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console

import tilewright as tw
import tilewright.estimation
from benchmarks.drawn import SEED, drawn
from benchmarks.output import table_of
from tilewright.boards import Board, get_board
from tilewright.boards.families import get_family
from tilewright.boards.flow.report import REPORT, used_sites
from tilewright.boards.flow.tools import FlowError
from tilewright.estimation.clock import Routed, left_out, off
from tilewright.estimation.figures import Figure
from tilewright.estimation.resources import resources_of
from tilewright.files import write_json
from tilewright.isa import EngineConfig

RESULTS = Path(__file__).parent / "results"
RECORDS = RESULTS / "routed.json"
KEPT = Path(tilewright.estimation.__file__).with_name("routed.json")
#: What engines beside an iCE40UP5K's may have.
NEAR: dict[str, tuple[Any, ...]] = {
    "acc_width": (20, 22, 24),
    "multiplier_width": (12, 14, 16),
    "tables": (0, 1),
    "maximum": (False, True),
    "count_width": (8, 10, 12),
    "act_depth": (64, 128, 256),
    "weight_depth": (128, 256, 512),
    "out_depth": (32, 64, 128),
    "burst_beats": (1, 2),
}
#: Of the sites that an FPGA has, at most: what is fuller may not route.
FULL = 0.8
#: Pins of a system with an SDRAM are more than these.
_PINS = 20
#: What nextpnr calls sites that have the name of their primitive elsewhere.
_SITES = {"ICESTORM_RAM": "SB_RAM40_4K", "ICESTORM_DSP": "SB_MAC16"}

app = typer.Typer(add_completion=False)
console = Console()


def read() -> list[dict[str, Any]]:
    """Return the records of systems that were routed for their clock."""
    record: dict[str, Any] = json.loads(RECORDS.read_text())
    systems: list[dict[str, Any]] = record["systems"]
    return systems


def systems() -> list[Routed]:
    """Return all systems that were routed: the boards' own, and those of ``route``."""
    boards = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*-nextpnr.json"))]
    own = [record for record in boards if record.get("fmax_mhz") and "board" in record]
    return [_routed(record) for record in (*own, *read())]


def _routed(record: dict[str, Any]) -> Routed:
    board, config = get_board(record["board"]), EngineConfig.from_fields(record["engine"])
    changed = {
        name: value for name, value in asdict(config).items()
        if value != getattr(board.engine, name)
    }  # fmt: skip
    name = board.name
    if "with" in record:
        name += f" with {record['with']}"
    elif {"rows", "cols"} & changed.keys():
        name += f" with {config.rows} x {config.cols}"
    elif changed:
        name += " with " + ", ".join(f"{key}={value}" for key, value in changed.items())
    if record["utilization"] is None:  # an earlier record: of what is in it there is an estimate
        sites = resources_of(config, board).sites
        shares = {kind: site.share for kind, site in sites.items() if site.share is not None}
        sdram = board.sdram is not None
    else:
        used = record["utilization"]
        shares = {_SITES.get(kind, kind): n["used"] / n["available"] for kind, n in used.items()}
        sdram = used.get("TRELLIS_IO", {"used": 0})["used"] > _PINS
    return Routed(
        name=name,
        family=board.family,
        pipelined=config.pipelined,
        sdram=sdram,
        fmax_mhz=round(float(record["fmax_mhz"]), 2),
        shares={kind: round(share, 4) for kind, share in shares.items()},
    )


def rows(record: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the table of systems, heads first, of what ``keep`` keeps."""
    table = [["system", "family", "SDRAM", "MHz", "by the others"]]
    systems = [Routed(**system) for system in record["systems"]]
    for one in systems:
        error = off(one, systems)
        table.append(
            [
                *(one.name, one.family, "yes" if one.sdram else "no", f"{one.fmax_mhz:.1f}"),
                "-" if error is None else f"{error:+.1%}",
            ]
        )
    return table


@app.command()
def keep() -> None:
    """Hand the systems to estimates, and print how far each is from what the others say."""
    routed = systems()
    record = {"systems": [asdict(system) for system in routed]}
    write_json(KEPT, record)
    console.print(table_of(rows(record)))
    for family in sorted({system.family for system in routed}):
        if errors := left_out([system for system in routed if system.family == family]):
            console.print(
                f"{family}: each of {len(errors)} systems by others like it: "
                f"{median(errors):.1%} off in the median, {max(errors):.1%} at worst"
            )


@app.command()
def route(
    board: Annotated[str, typer.Option(help="Whose system.")] = "ulx3s-12f",
    count: Annotated[int, typer.Option(help="Systems in all.")] = 12,
    minutes: Annotated[float, typer.Option(help="Stop after so many.")] = 30.0,
) -> None:
    """Place and route a board with small engines, those that are missing."""
    own, begin = get_board(board), time.monotonic()
    for config in engines_of(own.name, count):
        records = read()
        if any(r["board"] == board and r["engine"] == asdict(config) for r in records):
            continue
        if time.monotonic() - begin > 60 * minutes:
            break
        target, start = replace(tw.Target.from_board(board), engine=config), time.monotonic()
        with tempfile.TemporaryDirectory() as name:
            made = {"board": board, "engine": asdict(config), **_routed_in(target, Path(name))}
        if "fmax_mhz" in made:
            made["seconds"] = round(time.monotonic() - start)
            write_json(RECORDS, {"systems": [*records, made]})
        console.print(
            f"{config.rows} x {config.cols}: {made.get('fmax_mhz')} MHz, "
            f"{time.monotonic() - start:.0f} s; {made.get('late', 'in time')}",
            highlight=False,
        )


def _routed_in(target: tw.Target, directory: Path) -> dict[str, Any]:
    """Return the record of a system; of one that misses its clock too, as it was routed.

    Leaving those out would leave the fast ones.
    """
    try:
        result = tw.synthesize(target, directory, place_and_route=True)
    except FlowError as error:
        record: dict[str, Any] = {"late": str(error).split(":")[0]}
        if (directory / REPORT).exists():
            clocks = json.loads((directory / REPORT).read_text())["fmax"].values()
            record["fmax_mhz"] = min(clock["achieved"] for clock in clocks)
            record["utilization"] = used_sites(directory)
        return record
    made: dict[str, Any] = json.loads(result.to_json())
    return made


def engines_of(board: str, count: int) -> list[EngineConfig]:
    """Return so many engines that fit a board: of those that are drawn for estimates, if some do.

    Of an iCE40UP5K, which holds the board's own and hardly more: as many that are beside it.
    """
    own = get_board(board)
    return _beside(own, count) if own.family == "ice40" else _drawn(own, count)


def _beside(own: Board, count: int) -> list[EngineConfig]:
    """Return so many engines of few parameters other than a board's own, no larger than it."""
    rng, found = random.Random(f"{SEED} {own.name}"), []
    most = resources_of(own.engine, own).sites[get_family(own.family).logic].used
    while len(found) < count:
        names = rng.sample(sorted(NEAR), 4)
        config = replace(own.engine, **{name: rng.choice(NEAR[name]) for name in names})
        logic = resources_of(config, own).sites[get_family(own.family).logic].used
        assert isinstance(logic, Figure)
        assert isinstance(most, Figure)
        if config not in [own.engine, *found] and logic.value < most.value:
            found.append(config)
    return found


def _drawn(own: Board, count: int) -> list[EngineConfig]:
    """Return so many of the engines that are drawn for estimates, those that fit a board."""
    board, found = own.name, []
    for config in drawn(own.family, 4 * count):
        fitted = replace(config, addr_width=own.engine.addr_width)
        sites = resources_of(fitted, own).sites.values()
        alike = config.pipelined is own.engine.pipelined  # others miss the clock by far
        if alike and all(site.share is not None and site.share < FULL for site in sites):
            try:
                replace(tw.Target.from_board(board), engine=fitted)
            except tw.Error:  # the bus of an SDRAM has few widths
                continue
            found.append(fitted)
    return found[:count]


if __name__ == "__main__":
    app()
