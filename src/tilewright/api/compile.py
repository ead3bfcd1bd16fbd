"""From a quantized network, or its integer graph, to a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from tilewright.compiler.codegen import assemble
from tilewright.compiler.frontend import capture_with_report
from tilewright.compiler.ir import Graph
from tilewright.compiler.schedule import AUTOMATIC, Objective, rounding_errors, view
from tilewright.isa import Unit
from tilewright.program import LayerInfo, Program
from tilewright.target import Target


def compile_graph(
    graph: Graph,
    target: Target,
    *,
    objective: Objective = "time",
    algorithms: Mapping[str, str] = AUTOMATIC,
    examples: Any = None,
) -> Program:
    """Compile an integer graph; ``objective`` and ``algorithms`` as for :func:`compile`.

    ``examples`` : inputs as for :meth:`Program.quantize`, on which the errors of layers with
    rounded kernels are measured; one random image if None.

    Raises
    ------
    Error
        Naming the layer, if the graph is wrong or the engine cannot run it.
    """
    assembly = assemble(graph, target.engine, objective, algorithms)
    macs = [0] * len(graph.layers)
    for stage in assembly.lowered.stages:
        for op in stage.ops:
            macs[op.layer] += op.macs
    ends = [op.output for op in graph.inputs] + [op.input for op in graph.outputs]
    streams = assembly.streams
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
    )
    if program.graph is graph:
        return program
    arrays = program.quantize(program.random_image() if examples is None else examples)
    errors = rounding_errors(graph, program.graph, list(zip(*arrays, strict=True)))
    return replace(program, schedule=view(assembly.choices, target.engine, errors))


def compile(
    model: nn.Module,
    example_inputs: Tensor | tuple[Tensor, ...],
    target: Target,
    *,
    objective: Objective = "time",
    algorithms: Mapping[str, str] = AUTOMATIC,
    round_bias: bool = False,
) -> Program:
    """Compile a quantized network for an engine.

    Parameters
    ----------
    model : nn.Module of Brevitas layers, in evaluation mode; not modified
    example_inputs : (N, C, H, W) float tensors, as the model takes them
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
    captured = capture_with_report(
        model,
        example_inputs,
        multiplier_width=target.engine.multiplier_width,
        round_bias=round_bias,
    )
    program = compile_graph(
        captured.graph,
        target,
        objective=objective,
        algorithms=algorithms,
        examples=example_inputs,
    )
    rounded = tuple((entry.where, float(entry.error)) for entry in captured.rounded_biases)
    return replace(program, rounded_biases=rounded)
