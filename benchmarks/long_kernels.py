"""Long depthwise kernels: direct, and what tiles of results could make of them at best.

    python -m benchmarks.long_kernels

Causal kernels over sequences of 4096 elements, 16 channels, on a 16 x 7 engine: cycles of the
layer as it is compiled. Beside them, what the array would take for the same sums as dense layers in
tiles, of an engine that has them: every sixteenth element of a channel is a channel (a phase), so
that kernels are between 16 phases and 16 others, and kernels of more than three taps are blocks of
three, each with channels of its own. That is the layer which a compiler would make, with nothing
for taking sequences apart and putting them together: a bound. Prints a table and writes JSON.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

import tilewright as tw
from benchmarks.array import Layer, graph_of
from benchmarks.forms import ENGINE, measure, sequence
from benchmarks.output import table_of
from tilewright.files import write_json

RESULTS = Path(__file__).parent / "results"
LENGTH, CHANNELS, PHASES = 4096, 16, 16
TAPS = (16, 64, 256, 1024, 4096)
TILES = replace(
    ENGINE, data_width=13, kernel_width=13, partial_depth=512, requantizers=8, weight_depth=16384
)
#: Blocks of a kernel of 16 phases, by its taps: in one dimension, and as near a square as can be.
WAYS = {"F(4x1,3x1)": (3, 1), "F(4x2,3x3)": (3, 3)}


def blocks(taps: int, kernel: tuple[int, int]) -> int:
    """Return the blocks of a kernel between phases, whose last element is carried to the next."""
    each = -(-taps // PHASES)
    if kernel[1] == 1:
        return -(-(each + 1) // kernel[0])
    rows = max(1, round(each**0.5))
    columns = -(-each // rows)
    return -(-(rows + 1) // kernel[0]) * -(-(columns + 1) // kernel[1])


def in_tiles(taps: int, algorithm: str) -> int:
    """Return the array's cycles for the sums of all channels, each a layer of its own."""
    kernel = WAYS[algorithm]
    rows = 40 if kernel[1] == 1 else 20  # of 7 or 14 columns: 280 places for 256
    layer = Layer("phases", PHASES * blocks(taps, kernel), PHASES, 4, kernel)
    graph = graph_of(layer, np.random.default_rng(0))
    size = (rows, 280 // rows)
    values = {
        name: replace(kind, shape=(kind.shape[0], *size)) for name, kind in graph.values.items()
    }
    graph = replace(graph, values=values)
    program = tw.compile_graph(
        graph,
        tw.Target(engine=TILES, memory=tw.MemoryTiming(20, 5)),
        algorithms={layer.name: algorithm},
    )
    run = tw.simulate(program, [np.zeros((1, *values["x"].shape), np.int64)])
    assert run.cycles is not None
    return CHANNELS * int(run.cycles)


def rows(records: list[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of the table, heads first."""
    result = [["taps", "direct", "of the peak", *(f"{way}, at best" for way in WAYS)]]
    for record in records:
        best = (f"{c:,} ({record['direct'] / c:.2f} x)" for c in record["tiles"].values())
        share = record["taps"] * LENGTH * CHANNELS / (ENGINE.multipliers * record["direct"])
        result.append([f"{record['taps']:,}", f"{record['direct']:,}", f"{share:.0%}", *best])
    return result


def main(output: Annotated[Path, typer.Option()] = RESULTS / "long_kernels.json") -> None:
    """Measure every length."""
    records: list[dict[str, Any]] = []
    for taps in TAPS:
        direct, _ = measure(sequence(CHANNELS, taps, LENGTH))
        tiles = {way: in_tiles(taps, way) for way in WAYS}
        records.append({"taps": taps, "direct": direct, "tiles": tiles})
        print(taps, direct, tiles, flush=True)
        write_json(output, {"length": LENGTH, "channels": CHANNELS, "kernels": records})
    Console().print(table_of(rows(records)))


if __name__ == "__main__":
    typer.run(main)
