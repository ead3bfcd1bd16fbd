"""From a quantized network, or its integer graph, to a program."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor, nn

from tilewright.api.compile_graph import check_options, compile_graph
from tilewright.api.hosted_compile import compile_parts
from tilewright.api.read import opened
from tilewright.compiler.importers.brevitas import import_module
from tilewright.compiler.importers.hosted import Host, check_parts, has_host_parts
from tilewright.compiler.quantized.to_integer import Capture, to_integer
from tilewright.compiler.schedule import AUTOMATIC, Objective
from tilewright.errors import Error, UnsupportedError, require_choice
from tilewright.program import AnyProgram
from tilewright.quantization.model import QuantizedModel
from tilewright.quantization.network import FloatNetwork
from tilewright.target import Target


def compile(
    model: nn.Module | str | os.PathLike[str],
    example_inputs: Tensor | tuple[Tensor, ...] | None,
    target: Target,
    *,
    objective: Objective = "time",
    algorithms: Mapping[str, str] = AUTOMATIC,
    round_bias: bool = False,
    host: Host = "edges",
    batch: int = 1,
) -> AnyProgram:
    """Compile a quantized network for an engine.

    Parameters
    ----------
    model : what :func:`tilewright.quantize` or :func:`tilewright.read_onnx` returned, or an
        nn.Module of Brevitas layers in evaluation mode; not modified. Or a file: a quantized
        network in ONNX, or what ``tilewright quantize`` wrote
    example_inputs : (N, C, H, W) float tensors, as the model takes them; None will do but for
        Brevitas layers
    target : Target
    objective : what the schedule minimizes: "time", "traffic" (bytes to and from memory) or
        "energy"
    algorithms : by the layer's name, or "*" for all others: "auto" takes what needs the fewest
        cycles, "direct" no tiles, and "F(4x2,3x3)" or the like those tiles; of deformable layers,
        "direct" samples on chip and "sampled" all samples first. Results are the same.
        "F(4x2,3x3) rounded", by the layer's name only, is for tiles that do not fit the engine's
        kernel_width or acc_width: kernels are rounded, results differ, and by how much on the
        example inputs is in ``Program.rounded_layers``
    round_bias : round biases to the accumulator's grid that are not on it
    host : where the host may compute what the engine has not, of files and of what
        :func:`tilewright.quantize` made: "edges", before and behind all that the engine computes,
        "anywhere", or "never"
    batch : images that one run of the program computes, 1..1024: weights are loaded once for all of
        them where they fit, and one is loaded and stored while another is computed. More images a
        second, and later results: for one image alone, 1 is best. A program takes any number of
        images; where its batch does not divide that, the last run takes as long as the others

    Returns
    -------
    Program, or HostedProgram where the host computes parts

    Raises
    ------
    UnsupportedError
        Naming the layer, the attribute and a rewrite that works.
    EngineLimitError
        If the engine is too small for a layer, naming the parameter that must grow.
    """
    check_options("compile", target, objective, algorithms, batch)
    require_choice("compile", "host", host, get_args(Host))
    network = opened(model, host=host)
    if isinstance(network, QuantizedModel) and has_host_parts(network.graph):
        check_parts(network.graph, host)
        if example_inputs is not None:
            network.check_inputs(_several(example_inputs))
        return compile_parts(
            network.graph,
            target,
            objective=objective,
            algorithms=algorithms,
            examples=example_inputs,
            batch=batch,
        )
    captured = captured_model(network, example_inputs, round_bias=round_bias)
    program = compile_graph(
        captured.graph,
        target,
        objective=objective,
        algorithms=algorithms,
        examples=example_inputs,
        input_shapes=captured.input_shapes,
        results=captured.results,
        batch=batch,
    )
    rounded = tuple((entry.where, float(entry.error)) for entry in captured.rounded_biases)
    return replace(program, rounded_biases=rounded)


def _several(inputs: Tensor | tuple[Tensor, ...]) -> Sequence[Tensor]:
    return inputs if isinstance(inputs, tuple | list) else [inputs]


def captured_model(
    model: nn.Module,
    example_inputs: Tensor | tuple[Tensor, ...] | None,
    *,
    round_bias: bool = False,
) -> Capture:
    """Return the integer graph of a quantized network, for any engine; as :func:`compile`.

    Raises
    ------
    Error  If it is no network, or not quantized.
    """
    if isinstance(model, QuantizedModel):
        if example_inputs is not None:
            model.check_inputs(_several(example_inputs))
        return to_integer(model.graph)
    if isinstance(model, FloatNetwork):
        raise UnsupportedError(
            model.graph.name,
            "a float network",
            "Quantize it first: tw.quantize(network, calibration_batches), or with `tilewright "
            "quantize`.",
        )
    _check_quantized(model)
    if example_inputs is None:
        raise Error("a network of Brevitas layers needs example_inputs: pass one batch of images")
    graph = import_module(model, example_inputs)
    return to_integer(graph, round_bias=round_bias)


def _check_quantized(model: object) -> None:
    """Refuse what is no network of Brevitas layers, and say how it becomes one."""
    quantize = (
        "quantize it first: tw.compile(tw.quantize(model, calibration_batches), ...), or with "
        "`tilewright quantize`"
    )
    if isinstance(model, torch.export.ExportedProgram):
        raise Error(f"an ExportedProgram is no quantized network: of its module, {quantize}")
    if not isinstance(model, nn.Module):
        raise Error(
            f"the model must be a torch.nn.Module, not {type(model).__name__}: build the network, "
            f"load its state_dict, and {quantize}"
        )
    kinds = {base.__module__ for m in model.modules() for base in type(m).__mro__}
    if not any(kind.startswith("brevitas.") for kind in kinds):
        raise UnsupportedError(
            type(model).__name__, "a float network", quantize[0].upper() + quantize[1:]
        )
