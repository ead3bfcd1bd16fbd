"""Networks through the driver on simulated boards: elements, cycles, the line.

    python -m benchmarks.devices [--only ulx3s-12f/digits,...] [--folder FOLDER] [--output FILE]

Each board's whole system runs in Verilator: its serial line bit by bit, the link's frames, the
engine, the SDRAM's controller, and a chip at its pins that checks every rule. The driver is the
one for real boards; the line's bits are four clock cycles long, so that the simulation is over
sooner, and nothing else is changed. Every output element is compared with golden, and every
command's cycles with the prediction: the first image alone, the others sent while one is computed.
FOLDER has kws, ic and vww.tflite of MLPerf Tiny, which run on the board's engine with TFLite's
rounding; without it, those that the examples have. A run "over a bad line" has 1 % of all bytes
flipped and 1 % dropped, both ways. What is done stays in the file as long as the board has the same
engine; the same command goes on where it was. Ends with 1 if anything differs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

import tilewright as tw
from examples import digits
from examples.mlperf_tiny.networks import MODELS, images
from examples.mlperf_tiny.reference import channels_first
from examples.networks.registry import NETWORKS
from tests.boards.link.channel import Faults
from tilewright.api.simulated import SIMULATED_DIVISOR, simulated_board
from tilewright.boards import get_board
from tilewright.boards.link.host import HostLink
from tilewright.boards.link.transport import Line
from tilewright.device import Device
from tilewright.files import write_json
from tilewright.program import AnyProgram
from tilewright.program.hosted import engine_parts

RESULT = Path(__file__).parent / "results/devices.json"
BAD = Faults(flipped=0.01, dropped=0.01)
#: Cycles without a byte after which the host does something else: 50 bytes of the line's.
SILENT = 2_000

Made = tuple[AnyProgram, Any]


def trained_digits(target: tw.Target, folder: Path, count: int) -> Made:
    """Return the digits network and test images."""
    inputs = digits.digits()[2][:count]
    return tw.compile(digits.trained(), inputs[:1], target), inputs


def example(name: str, target: tw.Target, folder: Path, count: int) -> Made:
    """Return a network of the examples, quantized, and random images."""
    entry = NETWORKS[name]
    inputs = entry.images(count)
    return tw.compile(tw.quantize(entry.build(), entry.calibration()), inputs[:1], target), inputs


def mlperf_tiny(name: str, target: tw.Target, folder: Path, count: int) -> Made:
    """Return a network of MLPerf Tiny and images, noise and smooth in turns."""
    path = folder / f"{name}.tflite"
    if not path.is_file():
        raise tw.Error(f"there is no {path}: --folder names where MLPerf Tiny's files are")
    model = tw.read_tflite(path)
    return tw.compile(model, None, target), np.stack(
        [
            channels_first(image).reshape(model.graph.input_shapes[0])
            for image in images(path, count)
        ]
    )


@dataclass(frozen=True)
class Run:
    """A network on a board.

    Parameters
    ----------
    make : program and inputs, by target, folder and number of images
    bad : its line is not to be trusted
    images : if no other number is asked for
    copies : of the program on the board: with 2, images are sent while one is computed; with 1 less
        goes over the line, which takes the simulation most of its time
    """

    make: Callable[[tw.Target, Path, int], Made]
    bad: bool = False
    images: int = 3
    copies: int = 2


RUNS: Mapping[str, Run] = {
    "icebreaker/digits": Run(trained_digits),
    "ulx3s-12f/digits": Run(trained_digits),
    "icepi-zero/digits": Run(trained_digits),
    "colorlight-i9/digits": Run(trained_digits),
    "tang-nano-20k/digits": Run(trained_digits),
    "ulx3s-85f/digits": Run(trained_digits),
    "ulx3s-85f/ds_cnn": Run(partial(example, "ds_cnn")),
    "ulx3s-85f/mobilenet_v1_025": Run(partial(example, "mobilenet_v1_025"), copies=1),
    **{
        f"ulx3s-85f-tflite/{name}.tflite": Run(partial(mlperf_tiny, name), copies=copies)
        for name, copies in (("kws", 2), ("ic", 1), ("vww", 1))
    },
    "ulx3s-12f/digits over a bad line": Run(trained_digits, bad=True),
}


class BadLine:
    """A line with faults both ways."""

    def __init__(self, line: Line, faults: Faults, seed: int) -> None:
        self._line, self._faults, self._rng = line, faults, Random(seed)

    def write(self, data: bytes, /) -> int:
        """Send what is left of bytes."""
        self._line.write(self._faults.apply(data, self._rng))
        return len(data)

    def read(self, size: int, /) -> bytes:
        """Return what is left of bytes that come."""
        return bytes(self._faults.apply(self._line.read(size), self._rng))


def engine_name(engine: tw.EngineConfig) -> str:
    """Return what an engine is, for people."""
    words = ", shared words" if engine.shared_words else ""
    as_tflite = ", as TFLite" if engine.rounding == "double" else ""
    return f"{engine.rows} x {engine.cols}{words}{as_tflite}"


def target_of(name: str) -> tw.Target:
    """Return the target of a run."""
    return tw.Target.from_board(name.split("/")[0])


def measure(name: str, folder: Path, count: int) -> dict[str, Any]:
    """Run a network on a board."""
    run = RUNS[name]
    board_name, network = name.split("/")
    target = target_of(name)
    board = replace(get_board(board_name), engine=target.engine)
    program, inputs = run.make(target, folder, count or run.images)
    start = time.monotonic()
    line = simulated_board(board, timeout_cycles=SILENT if run.bad else 10 * SILENT)
    began = time.monotonic()
    link = HostLink(BadLine(line, BAD, 0) if run.bad else line, patience=0.0)
    with Device(link, name=name, trace=line) as device:
        device.load(program, copies=run.copies)
        checked = device.verify(inputs)
        elapsed = line.elapsed
        statistics = device.link.statistics
    parts = engine_parts(program)
    sent = sum(part.layout(op.output).size_bytes for part in parts for op in part.graph.inputs)
    return {
        "name": name,
        "network": network,
        "board": board_name,
        "memory": board.memory,
        "engine": engine_name(board.engine),
        "digest": board.engine.digest,
        "program_bytes": sum(int(part.image.size) for part in parts),
        "images": len(inputs),
        "copies": run.copies,
        "elements": checked.elements,
        "commands": checked.commands,
        "cycles": checked.cycles,
        "clock_mhz": target.clock_mhz,
        "baud": board.baud,
        "line_bytes_an_image": sent,
        "cycles_a_bit": SIMULATED_DIVISOR,
        "simulated_cycles": elapsed,
        "frames": statistics.frames,
        "sent_again": statistics.frames - statistics.requests,
        "build_seconds": round(began - start),
        "seconds": round(time.monotonic() - began),
    }


def rows(figures: Any) -> list[list[str]]:
    """Return the figures as a table's rows."""
    head = [
        "board", "network", "engine", "images", "elements = golden", "commands as predicted",
        "cycles an image", "images a second, engine", "at most over the line", "frames",
        "of these again", "simulated cycles", "seconds",
    ]  # fmt: skip
    lines = [head]
    for run in figures["runs"]:
        cycles = run["cycles"]
        lines.append(
            [
                run["board"],
                run["network"],
                run["engine"],
                f"{run['images']:,}",
                f"{run['elements']:,}",
                f"{run['commands']:,}",
                f"{cycles:,}",
                f"{run['clock_mhz'] * 1e6 / cycles:,.0f}",
                f"{run['baud'] / 10 / (1.07 * run['line_bytes_an_image']):,.0f}",
                f"{run['frames']:,}",
                f"{run['sent_again']:,}",
                f"{run['simulated_cycles']:,}",
                f"{run['seconds']:,}",
            ]
        )
    return lines


def main(
    only: Annotated[str, typer.Option(help="BOARD/NETWORK, several with commas.")] = "",
    folder: Annotated[Path, typer.Option(help="Of MLPerf Tiny's files.")] = MODELS,
    images: Annotated[int, typer.Option(help="Images of each, if not its own number.")] = 0,
    output: Annotated[Path, typer.Option(help="Figures as JSON.")] = RESULT,
) -> None:
    """Run all that is not in the file yet."""
    console = Console()
    names = only.split(",") if only else list(RUNS)
    known = json.loads(output.read_text())["runs"] if output.exists() else []
    done = {run["name"]: run for run in known if run["name"] in RUNS}
    failed = False
    for name in names:
        if name in done and done[name]["digest"] == target_of(name).engine.digest:
            continue
        with console.status(name):
            try:
                done[name] = measure(name, folder, images)
            except tw.Error as error:
                console.print(f"{name}: {error}", style="red")
                failed = True
                continue
        figures = {
            "command": "python -m benchmarks.devices --folder FOLDER",
            "runs": [done[known] for known in RUNS if known in done],
        }
        write_json(output, figures)
        console.print(name, done[name], markup=False, soft_wrap=True)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
