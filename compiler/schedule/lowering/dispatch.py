"""Every operator of the IR as array operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tilewright.compiler.ir import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DeformConv2d,
    Gate,
    Graph,
    Linear,
    Lookup,
    MaxPool2d,
    Op,
    PixelShuffle,
    PixelUnshuffle,
    Rescale,
    RoundedConv2d,
    SelectChannels,
    Upsample,
    UpsampleBilinear,
)
from tilewright.compiler.ir.intervals import WITH_ACCUMULATOR
from tilewright.compiler.schedule.limits import EngineLimitError
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.lowering.context import Context
from tilewright.compiler.schedule.lowering.convolution import (
    conv,
    conv_transpose,
    linear,
    rounded_conv,
)
from tilewright.compiler.schedule.lowering.deformable import deform_conv
from tilewright.compiler.schedule.lowering.elementwise import (
    add,
    avg_pool,
    gate,
    lookup,
    max_pool,
    rescale,
)
from tilewright.compiler.schedule.lowering.movement import (
    concat,
    move_pixels,
    select,
    upsample_bilinear,
)
from tilewright.compiler.schedule.objective import Objective
from tilewright.compiler.schedule.tiles.choose import AUTOMATIC
from tilewright.errors import UnsupportedError
from tilewright.isa import EngineConfig


def lower(
    graph: Graph,
    config: EngineConfig,
    objective: Objective = "time",
    algorithms: Mapping[str, str] = AUTOMATIC,
) -> LoweredGraph:
    """Lower a verified graph for one engine.

    ``objective``, ``algorithms``: as for :func:`tilewright.compile`.

    Raises
    ------
    UnsupportedError
        If a value is wider than the engine's bytes.
    EngineLimitError
        If a multiplier is wider than the engine's.
    """
    convolutions = [op.name for op in graph.layers if isinstance(op, _WITH_ALGORITHMS)]
    if unknown := set(algorithms) - {*convolutions, "*"}:
        raise EngineLimitError(
            f"an algorithm is given for {min(unknown)!r}, which is no convolution's name; there "
            f"are {', '.join(convolutions)}"
        )
    ctx = Context(graph, config, objective, algorithms)
    for ctx.layer, op in enumerate(graph.layers):
        if type(op) not in _LOWERINGS:
            raise UnsupportedError(
                op.name, f"the engine has no {op.kind}", "See docs/supported_ops.md."
            )
        if isinstance(op, WITH_ACCUMULATOR):
            ctx.check_accumulator(op)
        _LOWERINGS[type(op)](ctx, op)
    pixels = _narrow_inputs(graph, config)
    return LoweredGraph(graph, config, ctx.values, ctx.orders, pixels, tuple(ctx.stages))


def _narrow_inputs(graph: Graph, config: EngineConfig) -> dict[str, int]:
    """Return the inputs of few channels, and the bytes that their pixels need in memory."""
    outputs = {op.input for op in graph.outputs}
    outputs |= {op.gate for op in graph.ops if isinstance(op, Gate)}
    outputs |= {v for op in graph.ops if isinstance(op, DeformConv2d) for v in op.inputs[1:]}
    result = {}
    for op in graph.inputs:
        channels = graph.values[op.output].shape[0]
        sizes = [size for size in config.pixel_sizes if size >= channels]
        if sizes and op.output not in outputs:
            result[op.output] = min(sizes)
    return result


_WITH_ALGORITHMS = (Conv2d, RoundedConv2d, DeformConv2d)

_LOWERINGS: dict[type[Op], Callable[[Context, Any], None]] = {
    Conv2d: conv,
    RoundedConv2d: rounded_conv,
    DeformConv2d: deform_conv,
    ConvTranspose2d: conv_transpose,
    Linear: linear,
    MaxPool2d: max_pool,
    AvgPool2d: avg_pool,
    Rescale: rescale,
    Gate: gate,
    Lookup: lookup,
    Add: add,
    Concat: concat,
    SelectChannels: select,
    UpsampleBilinear: upsample_bilinear,
    Upsample: move_pixels,
    PixelShuffle: move_pixels,
    PixelUnshuffle: move_pixels,
}
