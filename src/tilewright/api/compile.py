"""From a quantized network, or its integer graph, to a program."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, get_args

import torch
from torch import Tensor, nn

from tilewright.api.read import opened
from tilewright.compiler.codegen import assemble
from tilewright.compiler.importers.brevitas import import_module
from tilewright.compiler.ir import Graph, ResultView, choose_multipliers
from tilewright.compiler.quantized.to_integer import Capture, to_integer
from tilewright.compiler.schedule import AUTOMATIC, Objective, rounding_errors, view
from tilewright.errors import Error, UnsupportedError, require_choice, require_type
from tilewright.isa import Unit
from tilewright.program import LayerInfo, Program
from tilewright.quantization.model import QuantizedModel
from tilewright.quantization.network import FloatNetwork
from tilewright.sim.model import CycleModel
from tilewright.target import Target, require_target


def compile_graph(
    graph: Graph,
    target: Target,
    *,
    objective: Objective = "time",
    algorithms: Mapping[str, str] = AUTOMATIC,
    examples: Any = None,
    input_shapes: tuple[tuple[int, ...], ...] | None = None,
    results: tuple[ResultView, ...] | None = None,
) -> Program:
    """Compile an integer graph; ``objective`` and ``algorithms`` as for :func:`compile`.

    ``examples`` : inputs as for :meth:`Program.quantize`, on which the errors of layers with
    rounded kernels are measured; one random image if None. ``input_shapes`` and ``results``: what
    the model takes and gives, if that is not the graph's inputs and outputs, (C, H, W).

    Raises
    ------
    Error
        Naming the layer, if the graph is wrong or the engine cannot run it.
    """
    require_type("compile_graph", "graph", graph, Graph)
    _check_options("compile_graph", target, objective, algorithms)
    graph = choose_multipliers(graph, target.engine.multiplier_width)
    timing = CycleModel(target.engine, target.memory)
    assembly = assemble(graph, target.engine, timing, objective, algorithms)
    macs = [0] * len(graph.layers)
    for stage in assembly.lowered.stages:
        for op in stage.ops:
            macs[op.layer] += op.macs
    ends = [op.output for op in graph.inputs] + [op.input for op in graph.outputs]
    streams = assembly.streams

    def shapes(names: Iterable[str]) -> tuple[tuple[int, ...], ...]:
        return tuple(graph.values[name].shape for name in names)

    program = Program(
        target=target,
        graph=assembly.lowered.graph,
        image=assembly.image,
        streams={unit: (streams.addresses[unit], len(streams.commands[unit])) for unit in Unit},
        boot_count=streams.boot_count,
        addresses={value: assembly.feature_maps[value].address for value in ends},
        orders={value: tuple(map(int, assembly.lowered.orders[value])) for value in ends},
        pixels=assembly.lowered.pixels,
        layers=tuple(
            LayerInfo(op.name, op.kind, count)
            for op, count in zip(assembly.lowered.graph.layers, macs, strict=True)
        ),
        schedule=view(assembly.choices, target.engine, {}),
        rounded_biases=(),
        input_shapes=shapes(op.output for op in graph.inputs)
        if input_shapes is None
        else input_shapes,
        results=tuple(
            ResultView((i,), shape)
            for i, shape in enumerate(shapes(op.input for op in graph.outputs))
        )
        if results is None
        else results,
    )
    if program.graph is graph:
        return program
    arrays = program.quantize(program.random_image() if examples is None else examples)
    errors = rounding_errors(graph, program.graph, list(zip(*arrays, strict=True)))
    return replace(program, schedule=view(assembly.choices, target.engine, errors))


def compile(
    model: nn.Module | str | os.PathLike[str],
    example_inputs: Tensor | tuple[Tensor, ...] | None,
    target: Target,
    *,
    objective: Objective = "time",
    algorithms: Mapping[str, str] = AUTOMATIC,
    round_bias: bool = False,
) -> Program:
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

    Raises
    ------
    UnsupportedError
        Naming the layer, the attribute and a rewrite that works.
    EngineLimitError
        If the engine is too small for a layer, naming the parameter that must grow.
    """
    _check_options("compile", target, objective, algorithms)
    captured = captured_model(opened(model), example_inputs, round_bias=round_bias)
    program = compile_graph(
        captured.graph,
        target,
        objective=objective,
        algorithms=algorithms,
        examples=example_inputs,
        input_shapes=captured.input_shapes,
        results=captured.results,
    )
    rounded = tuple((entry.where, float(entry.error)) for entry in captured.rounded_biases)
    return replace(program, rounded_biases=rounded)


def _check_options(owner: str, target: object, objective: object, algorithms: object) -> None:
    require_target(owner, target)
    require_choice(owner, "objective", objective, get_args(Objective))
    require_type(owner, "algorithms", algorithms, Mapping)


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
            given = example_inputs if isinstance(example_inputs, tuple | list) else [example_inputs]
            model.check_inputs(given)
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
