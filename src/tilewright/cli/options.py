"""Arguments that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tilewright.errors import Error

DEFAULT_BOARD = "ulx3s-85f"


class Backend(StrEnum):
    """Executors."""

    golden = "golden"
    isa = "isa"
    rtl = "rtl"


ModelArgument = Annotated[
    str,
    typer.Argument(
        help="A file that `quantize` wrote, a quantized network in ONNX, or a Python file and "
        "function, as in net.py:make: called without arguments, it returns (model of Brevitas "
        "layers, example_inputs)."
    ),
]


class Host(StrEnum):
    """Where the host may compute what the engine has not."""

    edges = "edges"
    anywhere = "anywhere"
    never = "never"


class Objective(StrEnum):
    """What a schedule minimizes."""

    time = "time"
    traffic = "traffic"
    energy = "energy"


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


HostOption = Annotated[
    Host,
    typer.Option(
        help="Where the host may compute what the engine has not, as softmax or the choice of "
        "boxes: at the network's edges, anywhere, or never."
    ),
]
BatchOption = Annotated[
    int,
    typer.Option(
        min=1,
        max=1024,
        metavar="N",
        help="Images that a run computes: weights are loaded once for all of them where they fit. "
        "More images a second, and later results.",
    ),
]
ObjectiveOption = Annotated[Objective, typer.Option(help="What the schedule minimizes.")]
AlgorithmOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[LAYER=]ALGORITHM",
        help="How a layer, or without LAYER= every other one, is computed: auto, direct, "
        "tiles as in F(4x2,3x3), of deformable layers sampled. May be repeated. Results are "
        "the same, but with LAYER=F(4x2,3x3) rounded.",
    ),
]
ProgramArgument = Annotated[Path, typer.Argument(help="Program file that `compile` wrote.")]
OwnEngineArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="PROGRAM", help="Program file, to take its engine; otherwise, see the options."
    ),
]
BoardOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"Board, and its engine unless --engine has another. {DEFAULT_BOARD} if there is "
        "neither.",
    ),
]
EngineOption = Annotated[
    Path | None,
    typer.Option(
        "--engine",
        help="TOML file of engine parameters, a line each, as in rows = 8.",
        metavar="FILE",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change a parameter of the engine, as in rows=8. May be repeated.",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        metavar="READ,WRITE|CHIP",
        help="Memory behind the engine: latencies of reads and writes in cycles, as in 20,5 "
        "(the default), or the name of an SDRAM chip, as in IS42S16160G-7.",
    ),
]
InputsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Images in the model's shape, as floats or as integers on the input's grid: a .npy "
        "file or, by the inputs' names, a .npz file.",
    ),
]
OutputsOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write the outputs to this .npz file: integers by name, with NAME.scale and "
        "NAME.zero_point.",
    ),
]
BackendOption = Annotated[
    Backend,
    typer.Option(
        help="Executor: the integer graph in NumPy, commands with exact cycles, or the Verilog in "
        "Verilator."
    ),
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures here.")
]
