"""Networks on arrays of any shape, on engines with more and more options.

    python -m benchmarks.columns [--networks 'resnet18;mobilenet_v2 @96']

Multiply-accumulates per multiplier of the array and cycle of one image, by the cycle model: with
rows of results that have words of their own, with ``shared_words``, with ``folds`` besides, with
``2 * rows`` requantizers and ``double_reads``, and with ``split_columns``; several images with
``stacked_images``, and ResNet-18 in tiles, besides. No value is computed. Buffers are large, so
that what is seen is the array: 1 MiB of weights, 512 KiB of activations. Prints a table and writes
``results/columns.json``, engine by engine, so that it can be stopped; :mod:`benchmarks.docs` makes
a page of it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console

import tilewright as tw
from benchmarks.networks import quantized_network
from benchmarks.output import markdown_table, table_of
from examples.networks import NETWORKS
from examples.networks.mobilenet import MobileNetV2
from examples.networks.registry import Network
from tilewright.compiler.ir import Graph
from tilewright.files import write_text

OUTPUT = Path(__file__).parent / "results" / "columns.json"
WEIGHT_BYTES, ACT_BYTES = 1 << 20, 1 << 19
MEMORY = tw.MemoryTiming(20, 5)
#: What an engine has, by the name of a column; ``requantizers`` for each row.
KINDS: dict[str, dict[str, Any]] = {
    "own words": {},
    "shared words": {"shared_words": True},
    "and folds": {"shared_words": True, "folds": 2},
    "and two words a cycle": {
        "shared_words": True, "folds": 2, "requantizers": 2, "double_reads": True,
    },
    "and halves of columns": {
        "shared_words": True, "folds": 2, "requantizers": 2, "double_reads": True,
        "split_columns": True,
    },
}  # fmt: skip
#: And of several images.
LAST = KINDS["and halves of columns"]
STACKED = {**KINDS, "and stacked images": LAST | {"stacked_images": True}}
#: An engine for F(4x2, 3x3), whose 24 terms are commands that wait for each other's weights.
TILES: dict[str, dict[str, Any]] = {
    "in tiles": {
        "shared_words": True, "data_width": 13, "kernel_width": 13, "partial_depth": 1024,
        "transform_at_load": True, "queue_depth": 128,
    },
}  # fmt: skip


class Case(NamedTuple):
    """A network, its arrays (rows, columns, bits of the bus), its images, and kinds of engines."""

    network: Network
    arrays: tuple[tuple[int, int, int], ...]
    batch: int = 1
    kinds: dict[str, dict[str, Any]] = KINDS


_WIDE = (
    (16, 7, 64), (16, 8, 64), (16, 14, 64), (16, 16, 64), (32, 7, 128), (32, 14, 128),
    (64, 16, 128),
)  # fmt: skip
CASES = {
    "resnet18": Case(NETWORKS["resnet18"], _WIDE),
    "resnet18, 4 images": Case(NETWORKS["resnet18"], ((16, 16, 64),), 4, STACKED),
    "mobilenet_v2, 4 images": Case(NETWORKS["mobilenet_v2"], ((16, 16, 64),), 4, STACKED),
    "resnet18, tiles": Case(NETWORKS["resnet18"], ((16, 7, 64),), kinds=TILES),
    "resnet50": Case(NETWORKS["resnet50"], ((16, 7, 64),)),
    "mobilenet_v2": Case(NETWORKS["mobilenet_v2"], _WIDE[:-1]),
    **{
        f"mobilenet_v2 @{size}": Case(
            replace(NETWORKS["mobilenet_v2"], input_shape=(3, size, size)),
            ((16, 7, 64),),
        )
        for size in (96, 128, 160, 192, 256)
    },
    "mobilenet_v2 0.75, 5 x 5 @160": Case(
        Network(partial(MobileNetV2, kernel=5), (3, 160, 160), width=0.75), ((16, 7, 64),)
    ),
}


def engine(
    rows: int, cols: int, bus_width: int, requantizers: int = 1, **options: Any
) -> tw.EngineConfig:
    """Return an engine of an array, with so many requantizers for each row."""
    return tw.EngineConfig(
        rows=rows,
        cols=cols,
        requantizers=requantizers * rows,
        bus_width=bus_width,
        act_depth=ACT_BYTES // (rows * cols),
        weight_depth=WEIGHT_BYTES // rows,
        out_depth=4096,
        tables=4,
        **options,
    )


def measure(graph: Graph, array: tuple[int, int, int], case: Case) -> dict[str, Any]:
    """Return cycles of all images and MACs per multiplier and cycle of each kind of engine."""
    record: dict[str, Any] = {"array": list(array)}
    for name, options in case.kinds.items():
        target = tw.Target(engine=engine(*array, **options), memory=MEMORY)
        figures = tw.estimate(tw.compile_graph(graph, target, batch=case.batch))
        record[name] = {
            "cycles": round(figures.cycles.value),
            "utilization": figures.utilization.value,
        }
    return record


def rows(records: list[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of the table, heads first."""
    kinds = {**STACKED, **TILES}
    found = [["network", "array, bus", *kinds, "cycles"]]
    for record in records:
        height, width, bus = record["array"]
        measured = [record.get(name) for name in kinds]
        found.append(
            [
                record["network"],
                f"{height} x {width}, {bus} bit",
                *(f"{100 * m['utilization']:.1f} %" if m else "" for m in measured),
                f"{[m for m in measured if m][-1]['cycles']:,}",
            ]
        )
    return found


def page(records: list[dict[str, Any]]) -> str:
    """Return the page of the documentation."""
    return (
        "# Networks on arrays of any shape\n\n"
        "Written by `benchmarks/columns.py`: products a multiplier and cycle of one image, or as "
        "many as said, at 224 x 224 pixels or as said, 8 bits, from memory to memory with all "
        f"commands, by the cycle model; {WEIGHT_BYTES >> 20} MiB of weights, {ACT_BYTES >> 10} KiB "
        f"of activations, AXI with one beat per cycle after {MEMORY.read_latency} cycles. No board "
        "has buffers of this size: what is seen is what the array's shape costs. *Shared words*: "
        "rows of results go on in the same word ([0027](decisions/0027-shared-words.md)); *folds*: "
        "rows beside few output channels sum other input channels "
        "([0060](decisions/0060-folds.md)); *two words a cycle*: results leave, and windows of a "
        "stride of 2 are read, by two words at once "
        "([0063](decisions/0063-two-words-of-results.md)); *halves of columns*: the upper half of "
        "the columns sums other input channels of the lower half's pixels "
        "([0067](decisions/0067-halves-of-the-columns.md)); *stacked images*: rows of several "
        "images go on in the same word ([0066](decisions/0066-images-share-words.md)); *in tiles*: "
        "an engine for F(4x2, 3x3) with shared words, kernels transformed as they are loaded and "
        "room for 128 commands ([Winograd](winograd.md)).\n\n"
        + markdown_table(rows(records))
        + "\nWhat wide arrays lose with MobileNetV2, had they but shared words: depthwise layers, "
        "whose results leave the array a pixel word a cycle (a pass of 3 x 3 has 9 steps, one of "
        "16 columns takes 16 cycles), and of which those of stride 2 take two accesses for a "
        "window. Then the fully connected layer, of which one column works (two, in halves), and "
        "maps of 7 x 7, whose 49 pixels take four words of 16, or seven of 8; those of four images "
        "take 13, or 25. What is left of MobileNetV2 with halves: the fully connected layer waits "
        "for its weights, of which a step takes two words and the bus brings half a one.\n"
    )


def main(
    networks: Annotated[str, typer.Option(help="Names, with semicolons; all by default.")] = "",
    output: Path = OUTPUT,
) -> None:
    """Measure networks on arrays."""
    console = Console()
    records = json.loads(output.read_text()) if output.exists() else []
    names = networks.split(";") if networks else list(CASES)
    for name in names:
        case = CASES[name]
        with console.status(name):
            graph, _ = quantized_network(case.network, 8)
        for array in case.arrays:
            with console.status(f"{name}, {array}"):
                record = {"network": name, **measure(graph, array, case)}
            others = [r for r in records if (r["network"], r["array"]) != (name, list(array))]
            records = sorted([*others, record], key=lambda r: list(CASES).index(r["network"]))
            write_text(output, json.dumps(records, indent=1) + "\n")
            console.print(*rows([record])[1])
    console.print(table_of(rows(records)))


if __name__ == "__main__":
    typer.run(main)
