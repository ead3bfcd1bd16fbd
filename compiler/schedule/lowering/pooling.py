"""Maxima and sums of windows."""

from __future__ import annotations

from collections.abc import Sequence

from tilewright.compiler.ir import AvgPool2d, MaxPool2d
from tilewright.compiler.schedule.array.reduction import Largest
from tilewright.compiler.schedule.lowering.context import Context
from tilewright.compiler.schedule.lowering.table import lowering
from tilewright.errors import UnsupportedError


def check_maximum(ctx: Context, name: str, values: Sequence[str]) -> None:
    """Refuse maxima of some values where the engine finds none.

    Where rows share their activation in pairs, the steps that belong to a row's neighbour give it a
    zero.
    """
    if not ctx.config.maximum:
        raise UnsupportedError(
            name,
            "the engine was built with maximum=False",
            "Take an average pool or a convolution with a stride, or an engine with maximum=True.",
        )
    if ctx.config.weight_bits == 4 and min(ctx.ranges[value][0] for value in values) < 0:
        raise UnsupportedError(
            name,
            "the input can be negative, and an engine with 4-bit weights finds the maximum of "
            "other values only",
            "Put it behind a ReLU, or take an engine with weight_bits=8.",
        )


def max_pool(ctx: Context, op: MaxPool2d) -> None:
    """Emit an operation that accumulates by maximum."""
    check_maximum(ctx, op.name, op.inputs)
    ctx.per_channel(
        op.name,
        op.kind,
        ctx.windows(
            op.input,
            kernel=op.kernel,
            stride=op.stride,
            dilation=op.dilation,
            padding=op.padding[::2],
            pad=ctx.values[op.input].qmin,
        ),
        op.output,
        None,
        taps=op.kernel[0] * op.kernel[1],
        bias=0,
        order=ctx.view(op.input).order,
        reduction=Largest(),
    )


def avg_pool(ctx: Context, op: AvgPool2d) -> None:
    """Emit a sum of windows; its requantization divides."""
    taps = op.kernel[0] * op.kernel[1]
    ctx.per_channel(
        op.name,
        op.kind,
        ctx.windows(op.input, kernel=op.kernel, stride=op.stride, padding=op.padding[::2]),
        op.output,
        op.requantize,
        taps=taps,
        bias=-taps * ctx.values[op.input].zero_point,
        order=ctx.view(op.input).order,
    )


LOWERINGS = (
    lowering(MaxPool2d, max_pool),
    lowering(AvgPool2d, avg_pool, reads_wide=True, writes_wide=True),
)
