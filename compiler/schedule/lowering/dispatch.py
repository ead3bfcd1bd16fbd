"""Every operator of the integer graph as array operations, by what its family says of it."""

from __future__ import annotations

from collections.abc import Mapping

from tilewright.compiler.ir import OPS, Graph
from tilewright.compiler.ir.op import Accumulating, Boundary, Op
from tilewright.compiler.schedule.array.wide import is_wide, stored_type
from tilewright.compiler.schedule.limits import EngineLimitError
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.lowering import (
    convolution,
    deformable,
    dynamic,
    elementwise,
    movement,
    pooling,
    recurrence,
    sums,
    transposed,
)
from tilewright.compiler.schedule.lowering.context import Context
from tilewright.compiler.schedule.lowering.members import wanted_orders
from tilewright.compiler.schedule.objective import Objective
from tilewright.compiler.schedule.tiles.choose import AUTOMATIC
from tilewright.compiler.schedule.timing import Timing
from tilewright.errors import UnsupportedError
from tilewright.isa import EngineConfig


def lower(
    graph: Graph,
    config: EngineConfig,
    timing: Timing,
    objective: Objective = "time",
    algorithms: Mapping[str, str] = AUTOMATIC,
) -> LoweredGraph:
    """Lower a verified graph for one engine.

    ``timing``: of the engine with its memory; ``objective``, ``algorithms``: as for
    :func:`tilewright.compile`.

    Raises
    ------
    UnsupportedError
        If a value is wider than a byte, and the engine or an operator has bytes only.
    EngineLimitError
        If a multiplier is wider than the engine's.
    """
    convolutions = with_algorithms(graph)
    if unknown := set(algorithms) - {*convolutions, "*"}:
        raise EngineLimitError(
            f"an algorithm is given for {min(unknown)!r}, which is no convolution's name; there "
            f"are {', '.join(convolutions)}"
        )
    ctx = Context(graph, config, objective, algorithms, timing)
    wanted_orders(ctx)
    for ctx.layer, op in enumerate(graph.layers):
        _check_wide(ctx, op)
        if isinstance(op, Accumulating):
            ctx.check_accumulator(op)
        try:
            _LOWERINGS[type(op)].emit(ctx, op)
        except MemoryError as error:
            raise EngineLimitError(
                f"{op.name}: its weights take more memory than there is; give it smaller "
                "feature maps or fewer channels"
            ) from error
    pixels = _narrow_inputs(ctx) | ctx.pixels
    stages = tuple(ctx.stages)
    values = {value: stored_type(kind) for value, kind in ctx.values.items()}
    return LoweredGraph(
        graph, config, values, ctx.orders, pixels, ctx.aliases, ctx.phases, ctx.rows, stages
    )


def _check_wide(ctx: Context, op: Op) -> None:
    """Refuse values of more than 8 bits that an operator cannot read or write."""
    entry = _LOWERINGS[type(op)]
    for values, can, what in (
        (op.inputs, entry.reads_wide, "reads"),
        (op.outputs, entry.writes_wide, "writes"),
    ):
        wide = [value for value in values if is_wide(ctx.values[value])]
        if wide and not can:
            raise UnsupportedError(
                op.name,
                f"a {op.kind} {what} bytes, and {wide[0]!r} has {ctx.values[wide[0]].bits} bits",
                "Quantize it to 8 bits.",
            )


def with_algorithms(graph: Graph) -> list[str]:
    """Return the names of the layers of which it can be said how they are computed."""
    return [op.name for op in graph.layers if type(op) in _WITH_ALGORITHMS]


def _narrow_inputs(ctx: Context) -> dict[str, int]:
    """Return the inputs of few channels, and the bytes that their pixels need in memory.

    What is not read into the activation buffer as it is, and what the host reads, has whole pixel
    words.
    """
    graph, config = ctx.graph, ctx.config
    whole = {op.input for op in graph.outputs} | {*ctx.aliases.values()}
    whole |= {value for stage in ctx.stages for op in stage.ops for value in op.from_memory}
    result = {}
    for op in graph.inputs:
        channels = graph.values[op.output].shape[0]
        sizes = [size for size in config.pixel_sizes if size >= channels]
        if sizes and op.output not in whole:
            result[op.output] = min(sizes)
    return result


_FAMILIES = (
    convolution, deformable, dynamic, transposed, recurrence, pooling, elementwise, sums, movement,
)  # fmt: skip
_LOWERINGS = {entry.kind: entry for family in _FAMILIES for entry in family.LOWERINGS}

#: Those of which it can be said how they are computed.
_WITH_ALGORITHMS = (*convolution.WITH_ALGORITHMS, *deformable.WITH_ALGORITHMS)

if missing := [op.__name__ for op in OPS if op not in _LOWERINGS and not issubclass(op, Boundary)]:
    raise TypeError(f"nothing lowers {', '.join(missing)}")
