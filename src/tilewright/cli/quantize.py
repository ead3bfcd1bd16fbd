"""``tilewright quantize``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

import tilewright as tw
from tilewright.cli.files import errors_in, load_model, opened, read_batches, write_json
from tilewright.cli.options import Host, HostOption, JsonOption
from tilewright.cli.tables import console, progress_bar
from tilewright.errors import Error


def quantize(
    model: Annotated[
        str,
        typer.Argument(
            help="A float network in ONNX, with --inputs; or a Python file and function, as in "
            "net.py:make: called without arguments, it returns (float model, calibration batches). "
            "A tensor is one batch, a tuple of tensors one batch of a model of several inputs, "
            "anything else is iterated over."
        ),
    ],
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For ONNX: images to calibrate with, .npy, or .npz with an array for each input.",
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Where the quantized network goes."),
    ] = Path("build/quantized.pt"),
    weight_bits: Annotated[int, typer.Option(metavar="BITS", help="Of weights, 2..8.")] = 8,
    activation_bits: Annotated[int, typer.Option(metavar="BITS", help="Of activations, 2..8.")] = 8,
    power_of_two: Annotated[
        bool,
        typer.Option(
            "--power-of-two", help="Only scales that are powers of two: requantization is exact."
        ),
    ] = False,
    least_snr_db: Annotated[
        float | None,
        typer.Option(
            metavar="DB",
            help="A layer that loses its signal, with less than this though its inputs are better, "
            "is an error. 20 with 8 bits; -inf accepts everything.",
        ),
    ] = None,
    wide_layer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYER",
            help="A layer, as the report names it, whose results have up to 16 bits, for engines "
            "with wide_maps; can be repeated.",
        ),
    ] = None,
    wide_below_db: Annotated[
        float | None,
        typer.Option(metavar="DB", help="So have all that stay below this, where it is possible."),
    ] = None,
    host: HostOption = Host.edges,
    json_path: JsonOption = None,
) -> None:
    """Quantize a float network, and report the accuracy of every layer."""
    network, given = _loaded(model, inputs, host.value)
    with progress_bar() as bar:
        task = bar.add_task("quantize", total=None)
        result = tw.quantize_with_report(
            network,
            given,
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            power_of_two=power_of_two,
            least_snr_db=least_snr_db,
            wide_layers=wide_layer or (),
            wide_below_db=wide_below_db,
            host=host.value,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    result.model.save(output)
    console.print(result.report)
    write_json(json_path, json.loads(result.report.to_json()))
    from tilewright.compiler.importers.hosted import middle

    option = " --host anywhere" if middle(result.model.graph) else ""
    console.print(
        f"{output}: next, tilewright compile {output}{option}", highlight=False, soft_wrap=True
    )


def _loaded(model: str, inputs: Path | None, host: str) -> tuple[Any, Any]:
    """Return the float network and batches to calibrate it with."""
    if Path(model).suffix == ".onnx":
        network = opened(model, host)
        if not isinstance(network, tw.FloatNetwork):
            raise Error(f"{model} is quantized already: tilewright compile {model}")
        if inputs is None:
            raise Error(f"{model} needs images to calibrate with: --inputs images.npz")
        return network, read_batches(network, inputs)
    if inputs is not None:
        raise Error(f"--inputs is for ONNX files: the function of {model} returns its batches")
    network, batches = load_model(model, "calibration_batches")
    with errors_in(Path(model.rpartition(":")[0])):  # a generator of batches is the user's code
        return network, _batches(batches)


def _batches(given: Any) -> Any:
    """Return a list of batches, of what may be only one; what is none is for the API to refuse."""
    from torch import Tensor

    several = isinstance(given, tuple) and all(isinstance(x, Tensor) for x in given)
    if several or isinstance(given, Tensor):
        return [given]
    return list(given) if isinstance(given, Iterable) else given
