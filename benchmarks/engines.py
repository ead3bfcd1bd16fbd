r"""One network on a hundred engines, by cycles alone: which of them are worth building.

    python -m benchmarks.engines [--network mobilenet_v2] [--jobs 2]

Every engine of ``ENGINES`` compiles the network, and the cycle model says when each command starts
and ends; no image is computed. Per engine: cycles, bytes to and from memory, multipliers, bytes of
buffers, seconds of compilation and of the cycle model, or why the network does not fit. Prints the
engines that no other one beats in everything, and writes JSON, from which a run that was
interrupted goes on.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import tilewright as tw
from benchmarks.networks import quantized
from tilewright.compiler.ir import Graph
from tilewright.estimation.structure import multipliers
from tilewright.files import write_json

RESULTS = Path(__file__).parent / "results"

#: Rows, columns, KiB of activations and bits of the bus, in all combinations.
SPACE = ((8, 16, 32), (4, 7, 8, 14), (64, 128, 256), (32, 64, 128))

#: Where less is better, between engines.
AIMS = ("cycles", "multipliers", "buffer_bytes", "bus_width")


def engine(rows: int, cols: int, act_kib: int, bus_width: int) -> tw.EngineConfig:
    """Return an engine with as many weights on chip as half of its activations."""
    weights = act_kib * 1024 // 2 // rows
    return tw.EngineConfig(
        rows=rows,
        cols=cols,
        act_depth=act_kib * 1024 // (rows * cols),
        weight_depth=1 << (weights.bit_length() - 1),
        out_depth=1024,
        bus_width=bus_width,
        tables=4,
    )


ENGINES = tuple(engine(*point) for point in itertools.product(*SPACE))


def measure(graph: Graph, config: tw.EngineConfig) -> dict[str, Any]:
    """Return what a network costs on an engine."""
    record: dict[str, Any] = {"engine": asdict(config), "bus_width": config.bus_width}
    begin = time.process_time()
    try:
        program = tw.compile_graph(graph, tw.Target(engine=config))
    except tw.Error as error:
        return {**record, "refused": str(error)}
    compiled = time.process_time()
    figures = tw.estimate(program)
    estimated = time.process_time()
    return {
        **record,
        "cycles": round(figures.cycles.value),
        "utilization": round(figures.utilization.value, 4),
        "memory_bytes": round(figures.read.value + figures.written.value),
        "multipliers": multipliers(config),
        "buffer_bytes": round(figures.buffers.value),
        "compile_seconds": round(compiled - begin, 2),
        "cycles_seconds": round(estimated - compiled, 2),
    }


def best(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the engines that no other one beats in everything, the fastest first."""
    fitting = [record for record in records if "cycles" in record]

    def beaten(record: dict[str, Any]) -> bool:
        mine = [record[aim] for aim in AIMS]
        for other in fitting:
            theirs = [other[aim] for aim in AIMS]
            if theirs != mine and all(a <= b for a, b in zip(theirs, mine, strict=True)):
                return True
        return False

    return sorted((r for r in fitting if not beaten(r)), key=lambda r: int(r["cycles"]))


def table_of(records: Sequence[dict[str, Any]]) -> Table:
    """Return the best engines as a table for a terminal."""
    heads = ("rows x cols", "bus", "buffers", "multipliers", "cycles", "of peak", "memory bytes")
    table = Table(*heads)
    for record in records:
        config = record["engine"]
        table.add_row(
            f"{config['rows']} x {config['cols']}",
            f"{record['bus_width']} bits",
            f"{record['buffer_bytes'] >> 10} KiB",
            f"{record['multipliers']}",
            f"{record['cycles']:,}",
            f"{record['utilization']:.3f}",
            f"{record['memory_bytes']:,}",
        )
    return table


def known_records(path: Path, network: str) -> list[dict[str, Any]]:
    """Return the records of an earlier run of the same network."""
    if not path.exists():
        return []
    earlier = json.loads(path.read_text())
    return list(earlier["engines"]) if earlier["network"] == network else []


def main(
    network: str = "mobilenet_v2",
    jobs: Annotated[int, typer.Option(help="Processes at once.")] = 1,
    first: Annotated[int, typer.Option(help="So many engines; 0 for all.")] = 0,
    output: Path = RESULTS / "engines.json",
) -> None:
    """Measure a network on many engines."""
    engines = ENGINES[: first or len(ENGINES)]
    records = known_records(output, network)
    there = [record["engine"] for record in records]
    missing = [config for config in engines if asdict(config) not in there]
    begin = time.monotonic()
    with Progress() as progress:
        bar = progress.add_task(network, total=len(engines), completed=len(engines) - len(missing))
        if missing:
            graph, _ = quantized(network, 8)
            with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
                futures = [pool.submit(measure, graph, config) for config in missing]
                for future in as_completed(futures):
                    records.append(future.result())
                    write_json(output, {"network": network, "engines": records})
                    progress.advance(bar)
    console = Console()
    if not console.is_terminal:
        console.width = 120
    console.print(table_of(best(records)))
    refused = sum("refused" in record for record in records)
    seconds = sum(r.get("compile_seconds", 0) + r.get("cycles_seconds", 0) for r in records)
    console.print(
        f"{len(records)} engines, of which {refused} do not fit; {seconds:.0f} s of processor "
        f"time, {time.monotonic() - begin:.0f} s now"
    )


if __name__ == "__main__":
    typer.run(main)
