"""The tables of docs/, from ``benchmarks/results``: nothing in them is written by hand.

    python -m benchmarks.docs [--check]

A page is generated whole, or has tables between marks, which name what is between them. With
``--check`` nothing is written: it ends with 1 if a page is not what the figures give.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

import tilewright as tw
from benchmarks import (
    accuracy,
    activity,
    array,
    boards,
    clocks,
    columns,
    deformable,
    devices,
    estimates,
    explored,
    ice40,
    link,
    long_kernels,
    mlperf_tiny,
    networks,
    points,
    quantizers,
    roads,
    sampling,
    sdram,
    sparsity,
    streams,
    synthesis,
    winograd,
)
from benchmarks.output import markdown_table
from tilewright.files import write_text

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results"
DOCS = ROOT / "docs"


def figures(name: str) -> Any:
    """Return what a benchmark wrote."""
    return json.loads((RESULTS / name).read_text())


def array_page() -> str:
    """Return the page of single layers."""
    record = figures("array.json")
    return array.page(tw.EngineConfig(**record["engine"]), record["layers"])


def networks_page(name: str) -> str:
    """Return a page of whole networks."""
    record = figures(name)
    return networks.page(tw.EngineConfig(**record["engine"]), record["networks"])


def tiles_table() -> str:
    """Return networks without and with tiles: MACs per multiplier and cycle."""
    rows = [["network", "direct", "tiles, 8 requantizers", "tiles, 16 requantizers"]]
    files = ("networks.json", "networks_winograd.json", "networks_winograd_16.json")
    records = [[r for r in figures(f)["networks"] if "refused" not in r] for f in files]
    columns = [{r["name"]: r["utilization"] for r in column} for column in records]
    rows += [
        [name, *(f"{column[name]:.3f}" for column in columns)]
        for name in columns[0]
        if all(name in column for column in columns)
    ]
    return markdown_table(rows)


def detector_table() -> str:
    """Return what the detector of the examples reaches."""
    rows = [["seed", "network", "weights", "AP50", "AP75", "mAP"]]
    records = figures("detector.json")
    for record in sorted(records, key=lambda r: (r["seed"], r["weight_bits"] < 32)):
        bits = record["weight_bits"]
        rows.append(
            [
                str(record["seed"]),
                "deformable" if record["deformable"] else "plain",
                "float" if bits == 32 else f"{bits} bits",
                *(f"{record[name]:.3f}" for name in ("AP50", "AP75", "mAP")),
            ]
        )
    return markdown_table(rows)


#: Pages that are generated whole.
PAGES: Mapping[str, Callable[[], str]] = {
    "array.md": array_page,
    "columns.md": lambda: columns.page(figures("columns.json")),
    "mlperf_tiny.md": lambda: "\n".join(
        (mlperf_tiny.page(figures("mlperf_tiny.json")), streams.section(figures("streams.json")))
    ),
    "boards.md": lambda: boards.page(figures("boards.json")["runs"]),
    "networks.md": lambda: networks_page("networks.json"),
    "networks_w4.md": lambda: networks_page("networks_w4.json"),
    "networks_winograd.md": lambda: networks_page("networks_winograd.json"),
    "networks_winograd_16.md": lambda: networks_page("networks_winograd_16.json"),
    "winograd_tables.md": lambda: winograd.page(figures("winograd.json")),
    "winograd_points.svg": lambda: points.plot(figures("winograd.json")),
}

#: Tables between marks, by page and name.
TABLES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "deformable.md": {
        "sampling": lambda: markdown_table(sampling.rows(figures("sampling.json"))),
        "cost": lambda: markdown_table(deformable.rows(figures("deformable.json")["layers"])),
        "detector": detector_table,
    },
    "onnx.md": {"roads": lambda: markdown_table(roads.rows(figures("roads.json")["networks"]))},
    "forms.md": {
        "sparsity": lambda: markdown_table(sparsity.rows(figures("sparsity.json")["networks"])),
        "long": lambda: markdown_table(long_kernels.rows(figures("long_kernels.json")["kernels"])),
    },
    "winograd.md": {"networks": tiles_table},
    "ice40.md": {
        "icebreaker": lambda: board_table("icebreaker"),
        "engine": lambda: markdown_table(ice40.rows(figures("ice40.json"))),
    },
    "quantize.md": {
        "accuracy": lambda: markdown_table(accuracy.rows(figures("accuracy.json")["networks"])),
        "quantizers": lambda: markdown_table(quantizers.rows(figures("quantizers.json"))),
    },
    "estimate.md": {
        "cells": lambda: markdown_table(estimates.rows(json.loads(estimates.KEPT.read_text()))),
        "clocks": lambda: markdown_table(clocks.rows(json.loads(clocks.KEPT.read_text()))),
        "activity": lambda: markdown_table(activity.rows(figures("activity.json"))),
    },
    "explore.md": {
        "search": lambda: markdown_table(explored.search_rows(figures("explored.json"))),
        "front": lambda: markdown_table(explored.front_rows(figures("explored.json"))),
        "engine": lambda: markdown_table(explored.rows(figures("explored.json"))),
    },
    "device.md": {
        "devices": lambda: markdown_table(devices.rows(figures("devices.json"))),
        "link": lambda: markdown_table(link.rows(figures("link.json"))),
    },
    "sdram.md": {
        "traffic": lambda: markdown_table(sdram.traffic_rows(figures("sdram.json"))),
        "cells": lambda: markdown_table(sdram.cell_rows(figures("sdram-nextpnr.json"))),
    },
    "synthesis.md": {
        "ulx3s-12f": lambda: board_table("ulx3s-12f"),
        "icepi-zero": lambda: board_table("icepi-zero"),
        "colorlight-i9": lambda: board_table("colorlight-i9"),
        "ulx3s-85f": lambda: board_table("ulx3s-85f"),
        "ulx3s-85f-tflite": lambda: board_table("ulx3s-85f-tflite"),
        "options": lambda: markdown_table(
            synthesis.option_rows(figures("options-yosys.json")["options"])
        ),
    },
}


def board_table(name: str) -> str:
    """Return what a board's system takes, placed and routed."""
    record = figures(f"{name}-nextpnr.json")
    return markdown_table(synthesis.board_rows(record, tw.Target.from_board(name).clock_mhz))


def with_tables(text: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """Replace what is between marks.

    Raises
    ------
    Error
        If a mark is missing, or one is there that nothing belongs to.
    """
    mark = r"<!-- table (\S+): python -m benchmarks\.docs -->\n"
    found = re.findall(mark, text)
    if sorted(found) != sorted(tables):
        raise tw.Error(f"a page has marks for {sorted(found)}, not for {sorted(tables)}")

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}{tables[match[2]]()}<!-- end -->"

    return re.sub(rf"({mark})(?:[^\n]*\n)*?<!-- end -->", table, text)


def pages() -> dict[Path, str]:
    """Return every page, as it should be."""
    result = {DOCS / name: build() for name, build in PAGES.items()}
    for name, tables in TABLES.items():
        result[DOCS / name] = with_tables((DOCS / name).read_text(), tables)
    return result


def main(
    check: Annotated[bool, typer.Option(help="Write nothing; say what is stale.")] = False,
) -> None:
    """Write the tables of docs/."""
    stale = [
        path for path, text in pages().items() if not path.exists() or path.read_text() != text
    ]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'not what the figures give' if check else 'written'}")
        if not check:
            write_text(path, pages()[path])
    raise typer.Exit(1 if check and stale else 0)


if __name__ == "__main__":
    typer.run(main)
