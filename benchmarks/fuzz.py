"""Random networks on random engines: golden beside isa, every element of every output.

    python -m benchmarks.fuzz --seeds 0:5000 [--jobs 2] [--output build/fuzz.json]

Every seed is an engine of all that EngineConfig admits and a network of all operators of the
integer graph (``tests.strategies``). Networks that the engine refuses by name are counted; any
other exception is a failure, as a wrong element is. What is done goes to the file every few
seconds; the same command goes on where it was, on the same source. Ranges are independent: several
machines can have one each, and files of their own. Ends with 1 if anything failed.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

from tests.strategies.agree import Outcome, try_network
from tests.strategies.engines import random_engine
from tilewright.files import write_json

ROOT = Path(__file__).parents[1]
#: What decides the outcome of a seed.
SOURCES = ("isa", "compiler", "sim", "src/tilewright", "tests/strategies")
SAVE_SECONDS = 5.0
CHUNK = 20
#: Every so many seeds, maps are larger: strips, blocks of weights and rings that wrap.
LARGE = 4


@dataclass
class Tally:
    """What some seeds gave.

    Parameters
    ----------
    compared : networks that were run; their outputs' ``elements``, of which ``wrong`` differ
    refused : number of refusals by their text, without numbers
    failures : seed and what it gave
    """

    compared: int = 0
    elements: int = 0
    wrong: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count what other seeds gave."""
        self.compared += other.compared
        self.elements += other.elements
        self.wrong += other.wrong
        self.refused += other.refused
        self.failures += other.failures


def run_seed(seed: int) -> Outcome:
    """Compare one network on one engine."""
    rng = np.random.default_rng(seed)
    config = random_engine(rng, roomy=rng.random() < 0.8)
    return try_network(rng, config, scale=3 if seed % LARGE == 0 else 1)


def run_seeds(seeds: range) -> Tally:
    """Compare some; meant for a process of its own."""
    tally = Tally()
    for seed in seeds:
        try:
            outcome = run_seed(seed)
        except Exception as error:  # whatever it is, it is what is looked for
            tally.failures.append((seed, f"{type(error).__name__}: {error}"))
            continue
        if outcome.refused is not None:
            reason = re.sub(r"'[^']*'|-?\d[\d.]*", "#", outcome.refused.partition(": ")[2])
            tally.refused[reason.split("; ")[-1][:90]] += 1
            continue
        tally.compared += 1
        tally.elements += outcome.elements
        tally.wrong += outcome.wrong
        if outcome.wrong:
            tally.failures.append((seed, f"{outcome.wrong} of {outcome.elements} elements"))
    return tally


def source_digest() -> str:
    """Return what identifies the code."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def parse_seeds(text: str) -> range:
    """Return ``first:end`` as a range."""
    found = re.fullmatch(r"(\d+):(\d+)", text)
    if not found or int(found[1]) >= int(found[2]):
        raise typer.BadParameter(f"seeds must be FIRST:END, not {text!r}")
    return range(int(found[1]), int(found[2]))


def read(path: Path, seeds: range, source: str) -> tuple[Tally, set[int]]:
    """Return what an earlier run of the same seeds and source gave, and its chunks."""
    if path.exists():
        record: dict[str, Any] = json.loads(path.read_text())
        if (record["seeds"], record["source"]) == ([seeds.start, seeds.stop], source):
            tally = Tally(
                record["compared"], record["elements"], record["wrong"],
                Counter(record["refused"]), [(s, text) for s, text in record["failures"]],
            )  # fmt: skip
            return tally, set(record["done"])
    return Tally(), set()


def chunks_of(seeds: range) -> Iterator[range]:
    """Cut seeds into what one process does at a time."""
    for first in range(seeds.start, seeds.stop, CHUNK):
        yield range(first, min(first + CHUNK, seeds.stop))


def main(
    seeds: Annotated[str, typer.Option(help="FIRST:END.")] = "0:1000",
    jobs: Annotated[int, typer.Option(help="Processes.")] = 1,
    output: Annotated[Path, typer.Option(help="Figures, and what is done.")] = Path(
        "build/fuzz.json"
    ),
) -> None:
    """Compare random networks on random engines."""
    given, source = parse_seeds(seeds), source_digest()
    tally, done = read(output, given, source)
    console, saved = Console(), time.monotonic()

    def save() -> None:
        write_json(
            output,
            {"seeds": [given.start, given.stop], "source": source, **vars(tally),
             "done": sorted(done)},
        )  # fmt: skip

    left = [chunk for chunk in chunks_of(given) if chunk.start not in done]
    with (
        Progress(console=console) as progress,
        ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool,
    ):
        task = progress.add_task("networks", total=len(given))
        progress.advance(task, len(given) - sum(map(len, left)))
        for chunk, result in zip(left, pool.map(run_seeds, left), strict=True):
            tally.add(result)
            done.add(chunk.start)
            progress.advance(task, len(chunk))
            for seed, text in result.failures:
                progress.console.print(f"seed {seed}: {text}", style="red", markup=False)
            if time.monotonic() - saved > SAVE_SECONDS:
                save()
                saved = time.monotonic()
    save()
    for reason, count in tally.refused.most_common(12):
        console.print(f"{count:6} refused: {reason}", style="dim", markup=False)
    console.print(
        f"{tally.compared:,} networks, {tally.elements:,} elements, {tally.wrong:,} wrong; "
        f"{tally.refused.total():,} refused, {len(tally.failures)} failures"
    )
    raise typer.Exit(1 if tally.failures else 0)


if __name__ == "__main__":
    typer.run(main)
