r"""Networks on arrays of any number of columns: with rows that share words of results, and without.

    python -m benchmarks.columns [--networks resnet18,mobilenet_v2]

Multiply-accumulates per multiplier and cycle of one image, by the cycle model, on arrays of which
``cols`` divides few widths: with rows that have words of their own, and with ``shared_words``. No
value is computed. Buffers are large, so that what is seen is the array: 256 KiB of weights, 2,340
words a lane. Prints a table and writes ``results/columns.json``, engine by engine.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import tilewright as tw
from benchmarks.networks import quantized_network
from examples.networks import NETWORKS
from examples.networks.registry import Network
from tilewright.compiler.ir import Graph
from tilewright.files import write_text

OUTPUT = Path(__file__).parent / "results" / "columns.json"
WEIGHT_BYTES = 1 << 18

#: Networks by name, and the arrays for each: rows, columns and bits of the bus.
_WIDE = ((16, 7, 64), (16, 8, 64), (16, 14, 64), (16, 16, 64), (32, 7, 128), (32, 14, 128))
_SMALL = ((16, 7, 64), (16, 16, 64))
CASES: dict[str, tuple[Network, tuple[tuple[int, int, int], ...]]] = {
    "resnet18": (NETWORKS["resnet18"], _WIDE),
    "mobilenet_v2": (NETWORKS["mobilenet_v2"], _WIDE),
    **{
        f"mobilenet_v2 @{size}": (
            replace(NETWORKS["mobilenet_v2"], input_shape=(3, size, size)),
            _SMALL,
        )
        for size in (96, 128, 160)
    },
}


def engine(rows: int, cols: int, bus_width: int, *, shared_words: bool) -> tw.EngineConfig:
    """Return an engine of an array."""
    return tw.EngineConfig(
        rows=rows,
        cols=cols,
        bus_width=bus_width,
        act_depth=2340,
        weight_depth=WEIGHT_BYTES // rows,
        tables=4,
        shared_words=shared_words,
    )


def measure(graph: Graph, array: tuple[int, int, int]) -> dict[str, Any]:
    """Return cycles and MACs per multiplier and cycle without and with shared words."""
    record: dict[str, Any] = {"array": list(array)}
    for name, shared in (("own", False), ("shared", True)):
        config = engine(*array, shared_words=shared)
        target = tw.Target(engine=config, memory=tw.MemoryTiming(20, 5))
        figures = tw.estimate(tw.compile_graph(graph, target))
        record[name] = {
            "cycles": round(figures.cycles.value),
            "utilization": figures.utilization.value,
        }
    return record


def rows(records: list[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of the table, heads first."""
    found = [["network", "array, bus", "own words", "shared words", "cycles, shared"]]
    for record in records:
        height, width, bus = record["array"]
        found.append(
            [
                record["network"],
                f"{height} x {width}, {bus} bit",
                *(f"{100 * record[name]['utilization']:.1f} %" for name in ("own", "shared")),
                f"{record['shared']['cycles']:,}",
            ]
        )
    return found


def main(
    networks: Annotated[str, typer.Option(help="Names, with commas; all by default.")] = "",
    output: Path = OUTPUT,
) -> None:
    """Measure networks on arrays."""
    console = Console()
    records = json.loads(output.read_text()) if output.exists() else []
    names = networks.split(",") if networks else list(CASES)
    for name in names:
        network, arrays = CASES[name]
        with console.status(name):
            graph, _ = quantized_network(network, 8)
        for array in arrays:
            with console.status(f"{name}, {array}"):
                record = {"network": name, **measure(graph, array)}
            others = [r for r in records if (r["network"], r["array"]) != (name, list(array))]
            records = sorted([*others, record], key=lambda r: list(CASES).index(r["network"]))
            write_text(output, json.dumps(records, indent=1) + "\n")
            console.print(*rows([record])[1])
    heads, *cells = rows(records)
    table = Table(*heads)
    for cell in cells:
        table.add_row(*cell)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
