"""From an integer graph to a program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, get_args

from tilewright.boards import get_board
from tilewright.compiler.codegen import Assembly, assemble
from tilewright.compiler.ir import Graph, ResultView, choose_multipliers, side_by_side
from tilewright.compiler.schedule import (
    AUTOMATIC,
    EngineLimitError,
    LoweredGraph,
    MemoryLimitError,
    Objective,
    rounding_errors,
    view,
)
from tilewright.errors import Error, require_choice, require_type
from tilewright.isa import Unit
from tilewright.program import LayerInfo, Program
from tilewright.program.artefact import MAX_BATCH
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
    batch: int = 1,
) -> Program:
    """Compile an integer graph.

    ``objective``, ``algorithms`` and ``batch`` : as for :func:`compile`. ``examples`` : inputs as
    for :meth:`Program.quantize`, on which the errors of layers with rounded kernels are measured;
    one random image if None. ``input_shapes`` and ``results``: what the model takes and gives, if
    that is not the graph's inputs and outputs, (C, H, W).

    Raises
    ------
    Error
        Naming the layer, if the graph is wrong or the engine cannot run it; if the board's memory
        is too small, by how much.
    """
    require_type("compile_graph", "graph", graph, Graph)
    check_options("compile_graph", target, objective, algorithms, batch)
    graph = choose_multipliers(graph, target.engine.multiplier_width)
    timing = CycleModel(target.engine, target.memory)
    try:
        assembly = assemble(graph, target.engine, timing, objective, algorithms, batch)
    except MemoryLimitError as error:  # a board's memory is what a user knows
        _check_memory(graph, target, error.size)
        raise
    wide = side_by_side(graph, batch) if batch > 1 else None
    if wide is not None:
        row = assemble(wide, target.engine, timing, objective, algorithms)
        if _cycles(row, timing) < _cycles(assembly, timing):
            assembly = row
        else:
            wide = None
    computed = assembly.lowered.graph if wide is None else graph
    program = _program(assembly, computed, target, input_shapes, results, batch, wide is not None)
    _check_memory(graph, target, int(program.image.size))
    if program.graph is graph:
        return program
    arrays = program.quantize(program.random_image() if examples is None else examples)
    errors = rounding_errors(graph, program.graph, list(zip(*arrays, strict=True)))
    return replace(program, schedule=view(assembly.choices, target.engine, errors))


def _program(
    assembly: Assembly,
    graph: Graph,
    target: Target,
    input_shapes: tuple[tuple[int, ...], ...] | None = None,
    results: tuple[ResultView, ...] | None = None,
    batch: int = 1,
    in_columns: bool = False,
) -> Program:
    """Return the program of a graph, whose schedule does not say yet what rounding changes."""
    streams = assembly.streams
    ends = [op.output for op in graph.inputs] + [op.input for op in graph.outputs]

    def shapes(names: Iterable[str]) -> tuple[tuple[int, ...], ...]:
        return tuple(graph.values[name].shape for name in names)

    return Program(
        target=target,
        graph=graph,
        image=assembly.image,
        streams={unit: (streams.addresses[unit], len(streams.commands[unit])) for unit in Unit},
        boot_count=streams.boot_count,
        addresses={value: assembly.feature_maps[value].address for value in ends},
        orders={value: tuple(map(int, assembly.lowered.orders[value])) for value in ends},
        pixels=assembly.lowered.pixels,
        layers=layer_infos(graph, assembly.lowered, batch if in_columns else 1),
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
        batch=batch,
        in_columns=in_columns,
    )


def _check_memory(graph: Graph, target: Target, size: int) -> None:
    """Refuse a program that is larger than its board's memory."""
    if target.board is None:
        return
    room = get_board(target.board).memory_bytes
    if size > room:
        raise EngineLimitError(
            f"{graph.name}: weights, feature maps and commands take {size:,} bytes, "
            f"{size - room:,} more than the {room:,} of {target.board}'s memory: take a board with "
            "more, a narrower network, smaller images or a smaller batch, or to simulate it only, "
            "a target without a board"
        ) from None


def layer_infos(graph: Graph, lowered: LoweredGraph, images: int = 1) -> tuple[LayerInfo, ...]:
    """Return the layers of a graph, which was lowered for so many images side by side."""
    macs = [0] * len(graph.layers)
    for stage in lowered.stages:
        for op in stage.ops:
            macs[op.layer] += op.macs // images
    return tuple(
        LayerInfo(op.name, op.kind, count) for op, count in zip(graph.layers, macs, strict=True)
    )


def _cycles(assembly: Assembly, timing: CycleModel) -> int:
    streams = assembly.streams
    return timing.run(streams.commands, streams.addresses, streams.boot)


def check_options(
    owner: str, target: object, objective: object, algorithms: object, batch: int
) -> None:
    """Refuse arguments of other types, naming the verb that has them."""
    require_target(owner, target)
    require_choice(owner, "objective", objective, get_args(Objective))
    require_type(owner, "algorithms", algorithms, Mapping)
    require_type(owner, "batch", batch, int)
    if not 1 <= batch <= MAX_BATCH:
        raise Error(f"{owner}: batch must be in 1..{MAX_BATCH}, not {batch}")
