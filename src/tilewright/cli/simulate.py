"""``tilewright simulate``."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import tilewright as tw
from tilewright.cli.files import read_inputs, write_json
from tilewright.cli.options import InputsOption, JsonOption, ProgramArgument
from tilewright.cli.tables import console, layer_table, progress_bar
from tilewright.errors import Error
from tilewright.files import fresh_file


class Backend(StrEnum):
    """Executors of `simulate`."""

    golden = "golden"
    isa = "isa"
    rtl = "rtl"


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
    backend: Annotated[Backend, typer.Option(help="Executor.")] = Backend.isa,
    output: Annotated[Path | None, typer.Option(help="Write the outputs to this .npz.")] = None,
    timeline: Annotated[
        Path | None, typer.Option(help="Write every command's cycles, for ui.perfetto.dev.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="rtl: directory that keeps the run's state; go on from there."),
    ] = None,
    waves: Annotated[
        str | None,
        typer.Option(help="rtl: FILE:FIRST:LAST, record these cycles to a .fst or .vcd file."),
    ] = None,
    json_path: JsonOption = None,
) -> None:
    """Run a program; without inputs, on one random image."""
    loaded = tw.Program.load(program)
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
        import numpy as np

        with fresh_file(output) as fresh, fresh.open("wb") as file:
            np.savez(file, *result.outputs)
    if result.cycles is None:
        console.print(f"{len(result.outputs[0])} images; this executor does not count cycles")
    else:
        console.print(layer_table(result.layers))
        rate = loaded.target.clock_mhz * 1e6 / result.cycles
        console.print(
            f"{result.cycles:,} cycles per image: {rate:,.1f} images/s at "
            f"{loaded.target.clock_mhz:g} MHz"
        )
    write_json(
        json_path,
        {
            "backend": backend.value,
            "cycles": result.cycles,
            "layers": [asdict(layer) for layer in result.layers],
        },
    )
