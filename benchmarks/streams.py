"""MLPerf Tiny's networks as streams of images: programs that compute several a run.

``python -m benchmarks.streams FOLDER`` (of kws, ic, vww and ad.tflite) writes
``benchmarks/results/streams.json``, from which ``python -m benchmarks.docs`` makes a part of
docs/mlperf_tiny.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import tilewright as tw
from benchmarks.output import markdown_table
from examples.mlperf_tiny.networks import found
from examples.mlperf_tiny.reference import integers
from tilewright.compiler.ir import Conv2d, Graph, Linear
from tilewright.estimation.figures import known
from tilewright.files import write_json

RESULT = Path(__file__).parent / "results/streams.json"
BOARD = "ulx3s-85f-tflite"
#: Images a run. Fourteen fill two words of seven columns.
BATCHES: Mapping[str, Sequence[int]] = {"ad": (1, 14, 16)}
ANY = (1, 4, 16)
WAYS = ("its SDRAM", "its SDRAM, 16 requantizers", "ideal", "ideal, 16 requantizers")


def targets() -> Iterator[tuple[str, tw.Target]]:
    """Yield the board's engine behind its own memory, and behind one that answers every cycle.

    Each also with as many requantizers as rows: the ULX3S-85F's own engine has these, but rounds
    once.
    """
    own = tw.Target.from_board(BOARD)
    engine = replace(own.engine, requantizers=None)
    yield WAYS[0], own
    yield WAYS[1], tw.Target(engine=engine, clock_mhz=own.clock_mhz, memory=own.memory)
    for way, config in ((WAYS[2], own.engine), (WAYS[3], engine)):
        yield way, tw.Target(engine=config, clock_mhz=own.clock_mhz)


def products(graph: Graph) -> int:
    """Return the products of a network's convolutions and linear layers, zero weights included."""
    return sum(
        op.weight.size * prod(graph.values[op.output].shape[1:])
        for op in graph.layers
        if isinstance(op, Conv2d | Linear)
    )


def measure(name: str, path: Path) -> list[dict[str, Any]]:
    """Return the figures of a network."""
    records = []
    model, graph = tw.read_tflite(path), integers(path.read_bytes())
    for way, target in targets():
        size = target.engine.rows * target.engine.cols
        for batch in BATCHES.get(name, ANY):
            program = tw.compile(model, None, target, batch=batch)
            figures = tw.estimate(program).figures
            record = {
                key: known(figures[key], key).value
                for key in ("cycles", "rate", "utilization", "read")
            }
            record["of_all"] = batch * products(graph) / record["cycles"] / size
            records.append({"network": name, "way": way, "batch": batch, **record})
            print(records[-1], flush=True)
    return records


def rows(records: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the table: a line for each network and engine, images a second by batch."""
    table = [
        ["network", "memory", "images a run", "cycles an image", "images/s", "of peak", "zeros too"]
    ]
    for r in records:
        table.append(
            [
                r["network"],
                r["way"],
                str(r["batch"]),
                f"{r['cycles'] / r['batch']:,.0f}",
                f"{r['rate']:,.0f}",
                f"{100 * r['utilization']:.1f} %",
                f"{100 * r['of_all']:.1f} %",
            ]
        )
    return table


def section(record: Mapping[str, Any]) -> str:
    """Return the part of docs/mlperf_tiny.md."""
    return f"""## Streams of images

Programs that compute several images a run ([Streams of images](batch.md)), by
`python -m benchmarks.streams FOLDER`, at {record["clock_mhz"]:g} MHz on the ULX3S-85F's engine of
16 x 7: as above behind its SDRAM, and behind a memory that answers every cycle; both also with 16
requantizers, as `ulx3s-85f` has, whose engine rounds once, and not 8.
Shares of the peak count what is multiplied: vww has channels whose weights are all zero, which take
no time, and of its 7.49 M products an image 3.99 M are left. The last column counts all products.

{markdown_table(rows(record["streams"]))}"""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    records = [
        record
        for network, path in found(arguments.folder)
        for record in measure(network.name, path)
    ]
    write_json(RESULT, {"clock_mhz": tw.Target.from_board(BOARD).clock_mhz, "streams": records})


if __name__ == "__main__":
    main()
