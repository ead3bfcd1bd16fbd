"""``tilewright simulate``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import tilewright as tw
from tilewright.cli.files import read_inputs, write_json, write_outputs
from tilewright.cli.options import (
    Backend,
    BackendOption,
    InputsOption,
    JsonOption,
    OutputsOption,
    ProgramArgument,
)
from tilewright.cli.tables import console, layer_table, per_run, progress_bar
from tilewright.errors import Error


def parse_window(text: str) -> tuple[str, int, int]:
    """Read FILE:FIRST:LAST."""
    path, first, last = [*text.rsplit(":", 2), "", ""][:3]
    if not path or not first.isdecimal() or not last.isdecimal() or int(first) > int(last):
        raise Error(f"{text!r} must be FILE:FIRST:LAST, with cycles FIRST <= LAST")
    if not path.endswith((".fst", ".vcd")):
        raise Error(f"{path} must end in .fst or .vcd")
    return path, int(first), int(last)


def simulate(
    program: ProgramArgument,
    inputs: InputsOption = None,
    backend: BackendOption = Backend.isa,
    output: OutputsOption = None,
    timeline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every command's cycles, for ui.perfetto.dev."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="rtl: keep the run's state here, and go on from what is there."
        ),
    ] = None,
    waves: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:FIRST:LAST",
            help="rtl: record these cycles of the first image to a .fst or .vcd file.",
        ),
    ] = None,
    json_path: JsonOption = None,
) -> None:
    """Run a program; without inputs, on one random image."""
    loaded = tw.load(program)
    data = read_inputs(loaded, inputs)
    with progress_bar() as bar:
        task = bar.add_task(f"{backend.value}", total=None)
        result = tw.simulate(
            loaded,
            data,
            backend=backend.value,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            checkpoint=checkpoint,
            waves=None if waves is None else parse_window(waves),
        )
    if timeline is not None:
        result.write_timeline(timeline)
    if output is not None:
        write_outputs(result, output)
    if result.cycles is None:
        count = len(result.outputs[0])
        images = "1 image" if count == 1 else f"{count:,} images"
        console.print(f"{images}; this executor does not count cycles")
    else:
        console.print(layer_table(result.layers))
        rate = loaded.batch * loaded.target.clock_mhz * 1e6 / result.cycles
        console.print(
            f"{result.cycles:,} cycles {per_run(loaded.batch)}: {rate:,.1f} images/s at "
            f"{loaded.target.clock_mhz:g} MHz"
        )
    write_json(
        json_path,
        {
            "backend": backend.value,
            "cycles": result.cycles,
            "batch": loaded.batch,
            "layers": [asdict(layer) for layer in result.layers],
        },
    )
