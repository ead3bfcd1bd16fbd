"""Train the detector with and without deformation, and compare.

    python -m examples.detector [--seeds 2] [--steps 800] [--quantized-steps 100]

Prints average precision of both, in floats and quantized, and writes JSON.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from examples.detector.evaluation import evaluate
from examples.detector.shapes import make_shapes
from examples.detector.training import train
from tilewright.files import fresh_file, write_json

BUILD = Path(__file__).parents[2] / "build" / "detector"
console = Console()


def main(
    seeds: Annotated[int, typer.Option(help="Networks of each kind.")] = 2,
    steps: Annotated[int, typer.Option(help="Batches in floats.")] = 800,
    quantized_steps: Annotated[int, typer.Option(help="Batches quantized.")] = 100,
    images: Annotated[int, typer.Option(help="To train on; a quarter more to test.")] = 4096,
    output: Path = BUILD / "results.json",
) -> None:
    """Train and compare."""
    torch.set_num_threads(1)
    learned, held_out = make_shapes(images, seed=0), make_shapes(images // 4, seed=1)
    records: list[dict[str, Any]] = []
    table = Table("seed", "network", "weights", "AP50", "AP75", "mAP", "seconds")
    for seed in range(seeds):
        for deformable in (False, True):
            start = time.monotonic()
            networks = train(
                learned, deformable=deformable, seed=seed, steps=(steps, quantized_steps),
                report=console.log,
            )  # fmt: skip
            seconds = time.monotonic() - start
            for bits, network in zip((32, 4), networks, strict=True):
                scores = evaluate(network, held_out)
                records.append(
                    {"seed": seed, "deformable": deformable, "weight_bits": bits} | scores
                )
                kind = "deformable" if deformable else "plain"
                table.add_row(
                    str(seed), kind, "float" if bits == 32 else "4 bits",
                    *(f"{value:.3f}" for value in scores.values()), f"{seconds:.0f}",
                )  # fmt: skip
            write_json(output, records)
            name = f"{'deformable' if deformable else 'plain'}-{seed}.pt"
            with fresh_file(output.parent / name) as fresh:
                torch.save(networks[1].state_dict(), fresh)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
