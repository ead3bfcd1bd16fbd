"""``tilewright compile``."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import tilewright as tw
from tilewright.cli.files import load_network, write_json
from tilewright.cli.options import (
    AlgorithmOption,
    BatchOption,
    BoardOption,
    EngineOption,
    Host,
    HostOption,
    JsonOption,
    MemoryOption,
    ModelArgument,
    Objective,
    ObjectiveOption,
    SetOption,
    parse_algorithms,
)
from tilewright.cli.tables import console
from tilewright.cli.targets import chosen_target


class Show(StrEnum):
    """What `compile` can print."""

    schedule = "schedule"


def compile(
    model: ModelArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where the program goes.")
    ] = Path("build/program.tw"),
    board: BoardOption = None,
    engine: EngineOption = None,
    settings: SetOption = None,
    memory: MemoryOption = None,
    objective: ObjectiveOption = Objective.time,
    algorithm: AlgorithmOption = None,
    show: Annotated[Show | None, typer.Option(help="Print how the layers run.")] = None,
    round_bias: Annotated[
        bool,
        typer.Option(
            "--round-bias",
            help="Brevitas layers: round biases that are not on the accumulator's grid.",
        ),
    ] = False,
    host: HostOption = Host.edges,
    batch: BatchOption = 1,
    json_path: JsonOption = None,
) -> None:
    """Compile a quantized network to a program file."""
    from tilewright.program.hosted import engine_parts

    algorithms = parse_algorithms(algorithm or [])
    target = chosen_target(board, engine, settings, memory)
    net, examples = load_network(model, host.value)
    with console.status("compile"):
        program = tw.compile(
            net,
            examples,
            target,
            objective=objective.value,
            algorithms=algorithms,
            round_bias=round_bias,
            host=host.value,
            batch=batch,
        )
    program.save(output)
    parts = engine_parts(program)
    schedule = [group for part in parts for group in part.schedule]
    if show is Show.schedule:
        for group in schedule:
            console.print(str(group), markup=False, highlight=False, soft_wrap=True)
    write_json(json_path, {"schedule": [asdict(group) for group in schedule]})
    macs = sum(layer.macs for layer in program.layers)
    rows, cols = target.engine.rows, target.engine.cols
    console.print(
        f"{output}: {len(program.layers)} layers, {macs:,} MACs, for "
        f"{'an engine' if target.board is None else target.board} of {rows} x {cols}"
        + (f", {batch} images a run" if batch > 1 else ""),
        soft_wrap=True,
    )
    for part in parts:
        for name, error in part.rounded_biases:
            console.print(f"  {name}: bias rounded, by at most {error:.2g} LSB of the output")
        for name, rounding in part.rounded_layers.items():
            console.print(f"  {name}: kernels rounded, {rounding}")
    for kind, name in getattr(net, "left_out", ()):
        console.print(
            f"  {name}: {kind} is left out, results are what it reads",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if isinstance(program, tw.HostedProgram):
        from tilewright.program.hosted import host_lines

        for line in host_lines(program):
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
