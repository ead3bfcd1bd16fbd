"""``tilewright run``."""

from __future__ import annotations

import time
from typing import Annotated

import typer

import tilewright as tw
from tilewright.cli.files import read_inputs, write_json, write_outputs
from tilewright.cli.options import InputsOption, JsonOption, OutputsOption, ProgramArgument
from tilewright.cli.tables import console, per_run, progress_bar


def run(
    program: ProgramArgument,
    device: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Board: serial:PORT, as in serial:/dev/ttyUSB0, or sim:BOARD, the board's whole "
            "system in Verilator.",
        ),
    ],
    inputs: InputsOption = None,
    output: OutputsOption = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Compare with golden, and cycles with the prediction."),
    ] = False,
    json_path: JsonOption = None,
) -> None:
    """Run a program on a board; without inputs, on one random image."""
    loaded = tw.load(program)
    data = read_inputs(loaded, inputs)
    with console.status(f"Connecting to {device}"):
        board = tw.connect(device)
    with board, progress_bar() as bar:
        load, go = (bar.add_task(what, total=None) for what in ("load", "run"))
        board.load(
            loaded, progress=lambda done, total: bar.update(load, completed=done, total=total)
        )
        start = time.monotonic()
        result = board.run(
            data, progress=lambda done, total: bar.update(go, completed=done, total=total)
        )
        seconds = time.monotonic() - start
        checked = board.compare(result, data) if verify else None
    if output is not None:
        write_outputs(result, output)
    count = len(result.outputs[0])
    rate = f"{count} images, {count / seconds:,.1f} a second with the line"
    took = "" if result.cycles is None else f"; {result.cycles:,} cycles {per_run(loaded.batch)}"
    console.print(rate + took)
    if checked is not None:
        cycles = (
            "this memory's cycles are not predicted"
            if checked.cycles is None
            else f"{checked.cycles:,} cycles as predicted, of {checked.commands:,} commands each"
            if checked.commands
            else f"{checked.cycles:,} cycles as predicted"
        )
        console.print(f"device == golden: {checked.elements:,} output elements; {cycles}")
    statistics = board.link.statistics
    write_json(
        json_path,
        {
            "device": device,
            "images": count,
            "seconds": seconds,
            "cycles": result.cycles,
            "batch": loaded.batch,
            "counters": dict(result.counters),
            "frames": statistics.frames,
            "sent_again": statistics.frames - statistics.requests,
            "verified_elements": None if checked is None else checked.elements,
        },
    )
