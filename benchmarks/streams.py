"""MLPerf Tiny's networks as streams of images: programs that compute several a run.

``python -m benchmarks.streams FOLDER`` (of kws, ic, vww and ad.tflite) writes
``benchmarks/results/streams.json``, from which ``python -m benchmarks.docs`` makes a part of
docs/mlperf_tiny.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tilewright as tw
from benchmarks.output import markdown_table
from examples.mlperf_tiny.networks import found
from tilewright.estimation.figures import known
from tilewright.files import write_json

RESULT = Path(__file__).parent / "results/streams.json"
BOARD = "ulx3s-85f-tflite"
#: Images a run. Fourteen fill two words of seven columns.
BATCHES: Mapping[str, Sequence[int]] = {"ad": (1, 14, 16)}
ANY = (1, 4, 16)
WAYS = ("its SDRAM", "ideal", "ideal, 16 requantizers")


def targets() -> Iterator[tuple[str, tw.Target]]:
    """Yield the board's engine behind its own memory, and behind one that answers every cycle.

    And with as many requantizers as rows, as the board's has not.
    """
    own = tw.Target.from_board(BOARD)
    engine = replace(own.engine, requantizers=None)
    yield WAYS[0], own
    for way, config in ((WAYS[1], own.engine), (WAYS[2], engine)):
        yield way, tw.Target(engine=config, clock_mhz=own.clock_mhz)


def measure(name: str, path: Path) -> list[dict[str, Any]]:
    """Return the figures of a network."""
    records = []
    model = tw.read_tflite(path)
    for way, target in targets():
        for batch in BATCHES.get(name, ANY):
            program = tw.compile(model, None, target, batch=batch)
            figures = tw.estimate(program).figures
            record = {
                key: known(figures[key], key).value
                for key in ("cycles", "rate", "utilization", "read")
            }
            records.append({"network": name, "way": way, "batch": batch, **record})
            print(records[-1], flush=True)
    return records


def rows(records: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the table: a line for each network and engine, images a second by batch."""
    table = [["network", "memory", "images a run", "cycles an image", "images/s", "of peak"]]
    for r in records:
        table.append(
            [
                r["network"],
                r["way"],
                str(r["batch"]),
                f"{r['cycles'] / r['batch']:,.0f}",
                f"{r['rate']:,.0f}",
                f"{100 * r['utilization']:.1f} %",
            ]
        )
    return table


def section(record: Mapping[str, Any]) -> str:
    """Return the part of docs/mlperf_tiny.md."""
    return f"""## Streams of images

Programs that compute several images a run ([Streams of images](batch.md)), by
`python -m benchmarks.streams FOLDER`, at {record["clock_mhz"]:g} MHz on the ULX3S-85F's engine of
16 x 7: as above behind its SDRAM, and behind a memory that answers every cycle; then there with 16
requantizers, which the board's engine has not.
Shares of the peak count what is multiplied: vww has channels whose weights are all zero, which take
no time, and of its 7.49 M products an image 3.99 M are left.

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
