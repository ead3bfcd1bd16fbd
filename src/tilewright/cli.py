"""The command line: the public API under the same names."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

import tilewright as tw
from tilewright.errors import Error

app = typer.Typer(
    help="Quantized PyTorch networks to bit-exact convolution accelerators on FPGAs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console()

ModelArgument = Annotated[
    str,
    typer.Argument(
        help="Python file and function, as in net.py:make: called without arguments, it returns "
        "(model, example_inputs)."
    ),
]
ProgramArgument = Annotated[Path, typer.Argument(help="Program file written by `compile`.")]
BoardOption = Annotated[str, typer.Option(help="Board to compile for.")]
InputsOption = Annotated[
    Path | None,
    typer.Option(help=".npy file of (N, C, H, W) floats, or integers on the input's grid."),
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")]
DEFAULT_BOARD = "ulx3s-85f"


class Objective(StrEnum):
    """What a schedule minimizes."""

    time = "time"
    traffic = "traffic"
    energy = "energy"


class Show(StrEnum):
    """What `compile` can print."""

    schedule = "schedule"


class Backend(StrEnum):
    """Executors of `simulate`."""

    golden = "golden"
    isa = "isa"
    rtl = "rtl"


def load_model(where: str) -> tuple[Any, Any]:
    """Call the function that ``file.py:function`` names.

    Raises
    ------
    Error
        If there is no such file or function, or it does not return a model and its inputs.
    """
    path, _, name = where.rpartition(":")
    if not path or not Path(path).is_file():
        raise Error(f"{where!r} must be file.py:function, with a file that exists")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise Error(f"{path} has no function {name!r}")
    result = function()
    if not isinstance(result, tuple) or len(result) != 2:
        raise Error(f"{where} must return (model, example_inputs)")
    return result


def write_json(path: Path | None, record: Any) -> None:
    """Write figures, if asked to."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text(json.dumps(record, indent=1) + "\n")
        temporary.replace(path)


def read_inputs(program: tw.Program, path: Path | None) -> Any:
    """Return the inputs in a file, or one random image."""
    if path is None:
        return program.random_image()
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise Error(f"{path} is not a .npy file: {error}") from error


def progress_bar() -> Progress:
    """Return a bar with elapsed and remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def parse_window(text: str) -> tuple[str, int, int]:
    """Read FILE:FIRST:LAST."""
    path, first, last = [*text.rsplit(":", 2), "", ""][:3]
    if not path or not first.isdecimal() or not last.isdecimal() or int(first) > int(last):
        raise Error(f"{text!r} must be FILE:FIRST:LAST, with cycles FIRST <= LAST")
    if not path.endswith((".fst", ".vcd")):
        raise Error(f"{path} must end in .fst or .vcd")
    return path, int(first), int(last)


def parse_algorithms(texts: list[str]) -> dict[str, str]:
    """Read LAYER=ALGORITHM, or ALGORITHM alone for all other layers."""
    result: dict[str, str] = {}
    for text in texts:
        layer, _, algorithm = text.rpartition("=")
        if text.startswith("=") or not algorithm:
            raise Error(f"{text!r} must be LAYER=ALGORITHM, or ALGORITHM for all other layers")
        if (layer or "*") in result:
            raise Error(f"{text!r}: {layer or 'all other layers'} already has an algorithm")
        result[layer or "*"] = algorithm
    return result


def layer_table(layers: Any) -> Table:
    """Return the table of a run, layer by layer."""
    table = Table("layer", "kind", "MACs", "cycles", "utilization", "bytes", "stall cycles")
    for column in table.columns[2:]:
        column.justify = "right"
    for layer in layers:
        stalls = ", ".join(f"{cause} {n:,}" for cause, n in layer.stalls.items() if n)
        table.add_row(
            layer.name,
            layer.kind,
            f"{layer.macs:,}",
            f"{layer.cycles:,}",
            f"{layer.utilization:.1%}",
            f"{layer.bytes_read + layer.bytes_written:,}",
            stalls or "-",
        )
    return table


@app.command("compile")
def compile_command(
    model: ModelArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Program file.")] = Path(
        "build/program.tw"
    ),
    board: BoardOption = DEFAULT_BOARD,
    objective: Annotated[
        Objective, typer.Option(help="What the schedule minimizes.")
    ] = Objective.time,
    algorithm: Annotated[
        list[str] | None,
        typer.Option(
            help="LAYER=F(4x2,3x3), LAYER=direct, LAYER=auto, of deformable layers LAYER=sampled; "
            "without LAYER= for all others. May be repeated; results are the same, but with "
            "LAYER=F(4x2,3x3) rounded."
        ),
    ] = None,
    show: Annotated[Show | None, typer.Option(help="Print how the layers run.")] = None,
    round_bias: Annotated[
        bool, typer.Option(help="Round biases that are not on the accumulator's grid.")
    ] = False,
    json_path: JsonOption = None,
) -> None:
    """Compile a Brevitas network to a program file."""
    net, examples = load_model(model)
    with console.status("compile"):
        program = tw.compile(
            net,
            examples,
            tw.Target.from_board(board),
            objective=objective.value,
            algorithms=parse_algorithms(algorithm or []),
            round_bias=round_bias,
        )
    program.save(output)
    if show is Show.schedule:
        for group in program.schedule:
            console.print(str(group), markup=False, highlight=False, soft_wrap=True)
    write_json(json_path, {"schedule": [asdict(group) for group in program.schedule]})
    macs = sum(layer.macs for layer in program.layers)
    console.print(f"{output}: {len(program.layers)} layers, {macs:,} MACs, for {board}")
    for name, error in program.rounded_biases:
        console.print(f"  {name}: bias rounded, by at most {error:.2g} LSB of the output")
    for name, rounding in program.rounded_layers.items():
        console.print(f"  {name}: kernels rounded, {rounding}")


@app.command()
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
        np.savez(output, *result.outputs)
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


@app.command()
def verify(program: ProgramArgument, inputs: InputsOption = None) -> None:
    """Run all executors and compare every output element and every command's cycles."""
    loaded = tw.Program.load(program)
    data = read_inputs(loaded, inputs)
    with progress_bar() as bar:
        task = bar.add_task("golden, isa, rtl", total=None)
        done = tw.verify(
            loaded,
            data,
            progress=lambda images, total: bar.update(task, completed=images, total=total),
        )
    console.print(
        f"golden == isa == rtl: {done.elements:,} output elements, {done.commands:,} commands, "
        f"{done.cycles:,} cycles per image"
    )


@app.command()
def verilog(
    directory: Annotated[Path, typer.Argument(help="Where the Verilog goes.")] = Path("build/rtl"),
    board: BoardOption = DEFAULT_BOARD,
) -> None:
    """Write an engine's Verilog."""
    with console.status("Verilog"):
        path = tw.generate_verilog(tw.Target.from_board(board), directory)
    console.print(f"{path}: {path.stat().st_size:,} bytes")


@app.command()
def synth(
    directory: Annotated[Path, typer.Argument(help="Where the results go.")] = Path("build/synth"),
    board: BoardOption = DEFAULT_BOARD,
    place_and_route: Annotated[
        bool, typer.Option(help="Also place, route and write a bitstream, for the board's system.")
    ] = False,
) -> None:
    """Synthesize an engine with Yosys, and place and route it with nextpnr."""
    result = tw.synthesize(
        tw.Target.from_board(board),
        directory,
        place_and_route=place_and_route,
        progress=console.print,
    )
    table = Table("resource", "count")
    for name, count in result.resources.items():
        table.add_row(name, f"{count:,}")
    console.print(table)
    if result.fmax_mhz is not None:
        console.print(f"fmax {result.fmax_mhz:.1f} MHz")
    if result.bitstream is not None:
        console.print(f"bitstream {result.bitstream}")


@app.command()
def estimate(program: ProgramArgument, json_path: JsonOption = None) -> None:
    """Estimate resources, latency and traffic of a program."""
    figures = tw.estimate(tw.Program.load(program))
    table = Table("figure", "value", "error")
    for name, entry in figures.items():
        error = "exact" if entry.relative_error == 0 else f"±{entry.relative_error:.0%}"
        table.add_row(name, f"{entry.value:,.6g} {entry.unit}", f"{error}; {entry.basis}")
    console.print(table)
    write_json(json_path, {name: asdict(entry) for name, entry in figures.items()})


def main(run: Callable[[], None] = app) -> None:
    """Run the command line; errors of the user's making are one line."""
    try:
        run()
    except (Error, OSError) as error:
        if isinstance(error, OSError):
            if error.filename is None:
                raise
            error = Error(f"{error.filename}: {error.strerror}")
        Console(stderr=True).print(f"error: {error}", style="red", markup=False)
        raise SystemExit(1) from None
