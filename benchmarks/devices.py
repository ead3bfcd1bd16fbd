"""Networks through the driver on simulated boards: elements, cycles, the line.

    python -m benchmarks.devices [--only ulx3s-12f/digits,...] [--images 2] [--output FILE]

Each board's whole system runs in Verilator: its serial line bit by bit, the link's frames, the
engine, the SDRAM's controller, and a chip at its pins that checks every rule. The driver is the
one for real boards. Every output element is compared with golden, and with the board's own SDRAM
every command's cycles with the prediction. Images a second are those of the engine at the board's
clock, and with the line at its baud rate. What is done stays in the file; the same command goes on
where it was. Ends with 1 if anything differs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

import tilewright as tw
from benchmarks.output import markdown_table
from examples import digits
from examples.networks.registry import NETWORKS
from tilewright.boards import get_board
from tilewright.files import write_json

Made = tuple[torch.nn.Module, torch.Tensor]


def trained_digits() -> Made:
    """Return the digits network and test images."""
    return digits.trained(), digits.digits()[2]


def network(name: str) -> Callable[[], Made]:
    """Return what makes a network of the examples, quantized, and images for it."""

    def make() -> Made:
        entry = NETWORKS[name]
        return tw.quantize(entry.build(), entry.calibration()), entry.images(2)

    return make


RUNS: dict[str, Callable[[], Made]] = {
    "ulx3s-12f/digits": trained_digits,
    "icebreaker/digits": trained_digits,
    "ulx3s-85f/digits": trained_digits,
    "ulx3s-85f/ds_cnn": network("ds_cnn"),
    "ulx3s-85f/mobilenet_v1_025": network("mobilenet_v1_025"),
}


def measure(name: str, images: int) -> dict[str, Any]:
    """Run a network on a board."""
    board, what = name.split("/")
    model, inputs = RUNS[name]()
    program = tw.compile(model, inputs[:1], tw.Target.from_board(board))
    start = time.monotonic()
    with tw.connect(f"sim:{board}") as device:
        device.load(program)
        before = device.link.statistics.frames
        checked = device.verify(inputs[:images])
        frames = device.link.statistics.frames - before
    clock = program.target.clock_mhz
    line = sum(program.layout(op.output).size_bytes for op in program.graph.inputs)
    return {
        "name": name,
        "network": what,
        "board": board,
        "memory": get_board(board).memory,
        "memory_bytes": int(program.image.size),
        "images": images,
        "elements": checked.elements,
        "commands": checked.commands,
        "cycles": checked.cycles,
        "images_per_second": None if checked.cycles is None else clock * 1e6 / checked.cycles,
        "line_images_per_second": get_board(board).baud / 10 / (1.07 * line),
        "frames": frames,
        "seconds": round(time.monotonic() - start),
    }


def rows(figures: Any) -> list[list[str]]:
    """Return the figures as a table's rows."""
    head = [
        "board", "network", "memory", "elements, all golden's", "commands, all as predicted",
        "cycles", "images a second, engine", "at most over the line",
    ]  # fmt: skip
    lines = [head]
    for run in figures["runs"]:
        rate = run["images_per_second"]
        lines.append(
            [
                run["board"],
                run["network"],
                run["memory"],
                f"{run['elements']:,}",
                f"{run['commands']:,}" if run["commands"] else "not predicted",
                "" if run["cycles"] is None else f"{run['cycles']:,}",
                "" if rate is None else f"{rate:,.0f}",
                f"{run['line_images_per_second']:,.0f}",
            ]
        )
    return lines


def main(
    only: Annotated[str, typer.Option(help="BOARD/NETWORK, several with commas.")] = "",
    images: Annotated[int, typer.Option(help="Images of each.")] = 2,
    output: Annotated[Path, typer.Option(help="Figures as JSON.")] = Path("build/devices.json"),
) -> None:
    """Run all that is not in the file yet."""
    console = Console()
    names = only.split(",") if only else list(RUNS)
    known = json.loads(output.read_text())["runs"] if output.exists() else []
    done = {run["name"]: run for run in known}
    failed = False
    for name in names:
        if name in done:
            continue
        with console.status(name):
            try:
                done[name] = measure(name, images)
            except tw.Error as error:
                console.print(f"{name}: {error}", style="red")
                failed = True
                continue
        figures = {
            "command": "python -m benchmarks.devices",
            "runs": [done[known] for known in RUNS if known in done],
        }
        write_json(output, figures)
        console.print(markdown_table(rows(figures)), markup=False, soft_wrap=True)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
