"""``tilewright compile``."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import tilewright as tw
from tilewright.cli.files import load_model, write_json
from tilewright.cli.options import DEFAULT_BOARD, BoardOption, JsonOption, ModelArgument
from tilewright.cli.tables import console
from tilewright.errors import Error


class Objective(StrEnum):
    """What a schedule minimizes."""

    time = "time"
    traffic = "traffic"
    energy = "energy"


class Show(StrEnum):
    """What `compile` can print."""

    schedule = "schedule"


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


def compile(
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
