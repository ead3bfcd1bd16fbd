"""Operators that move pixels and channels."""

from __future__ import annotations

import numpy as np

from tilewright.compiler.ir import (
    Concat,
    Conv2d,
    ConvTranspose2d,
    PixelShuffle,
    PixelUnshuffle,
    SelectChannels,
    Upsample,
    UpsampleBilinear,
)
from tilewright.compiler.schedule.limits import MAX_STEP
from tilewright.compiler.schedule.lowering.context import Context, keep
from tilewright.compiler.schedule.lowering.convolution import conv
from tilewright.compiler.schedule.lowering.table import lowering
from tilewright.compiler.schedule.lowering.transposed import conv_transpose
from tilewright.compiler.schedule.order.channels import ChannelOrder, View
from tilewright.compiler.schedule.order.taps import interpolations
from tilewright.errors import UnsupportedError

_MOST_COPIES = 2
"""Of a channel, that are made one by one."""


def concat(ctx: Context, op: Concat) -> None:
    """Define a view of all operands; one that repeats a channel of another is copied."""
    rows = ctx.config.rows
    slots: dict[str, ChannelOrder] = {}
    first = 0
    for number, source in enumerate(op.sources):
        mine = ctx.view(source).by_part(ctx.orders, rows)
        if any(((slots[p] >= 0) & (order >= 0)).any() for p, order in mine.items() if p in slots):
            copy = ctx.fresh(f"{op.output}.{number}")
            ctx.copy(f"{op.name}.{number}", source, copy)
            mine = {copy: ctx.orders[copy]}
        for part, order in mine.items():
            other = slots.get(part, np.full_like(order, -1))
            slots[part] = np.where(order >= 0, order + first, other)
        first += ctx.values[source].shape[0]
    define(ctx, op, View.of(slots, rows))


def select(ctx: Context, op: SelectChannels) -> None:
    """Define a view of the channels chosen; those chosen again are copied.

    With more than two of a channel, as of a mean that is taken off all channels, all are copied at
    once: a copy for each would have a channel group for each.
    """
    kind = ctx.values[op.input]
    if np.unique(op.channels, return_counts=True)[1].max() > _MOST_COPIES and kind.bits <= 8:
        weight = np.zeros((len(op.channels), kind.shape[0], 1, 1), np.int64)
        weight[np.arange(len(op.channels)), op.channels] = 1
        bias = np.zeros(len(op.channels), np.int64)
        repeated = Conv2d(
            op.name, op.input, op.output, weight, 2, bias,
            (1, 1), (0, 0, 0, 0), (1, 1), 1, keep(ctx.values[op.output]),
        )  # fmt: skip
        conv(ctx, repeated, op.kind)
        return
    rows = ctx.config.rows
    slots: dict[str, ChannelOrder] = {}
    left, number = np.arange(len(op.channels)), 0
    while left.size:
        source = op.input
        if number:
            source = ctx.fresh(f"{op.output}.{number}")
            ctx.copy(f"{op.name}.{number}", op.input, source)
        chosen, places = np.unique(op.channels[left], return_index=True)
        result = np.full(ctx.values[op.input].shape[0], -1, np.int64)
        result[chosen] = left[places]
        for part, order in ctx.view(source).by_part(ctx.orders, rows).items():
            slots[part] = np.where(order >= 0, result[order], -1)
        left, number = np.delete(left, places), number + 1
    define(ctx, op, View.of(slots, rows))


def define(ctx: Context, op: Concat | SelectChannels, view: View) -> None:
    """Let a value be a view, or a copy of it where the host will read it."""
    ctx.views[op.output] = view
    if op.output in ctx.results:
        name = ctx.fresh(f"{op.output}.copy")
        ctx.views[name] = ctx.views.pop(op.output)
        ctx.values[name] = ctx.values[op.output]
        ctx.copy(op.name, name, op.output)


def upsample_bilinear(ctx: Context, op: UpsampleBilinear) -> None:
    """Emit a depthwise operation for every phase of the output, and for its borders."""
    kind, (channels, height, width) = ctx.values[op.input], ctx.values[op.input].shape
    largest = 4 * op.factor[0] * op.factor[1]
    if largest >= 1 << (ctx.config.weight_bits - 1):
        raise UnsupportedError(
            op.name,
            f"interpolation by {op.factor} needs weights up to {largest}, and the engine's "
            f"have {ctx.config.weight_bits} bits",
            "Interpolate by smaller factors, one after another"
            + (", or take an engine with weight_bits=8." if largest < 128 else "."),
        )
    rows, columns = (
        interpolations(factor, size)
        for factor, size in zip(op.factor, (height, width), strict=True)
    )
    ops = []
    for row in rows:
        for column in columns:
            taps = np.multiply.outer(row.taps, column.taps)
            weight = np.broadcast_to(taps, (channels, 1, *taps.shape))
            results = (height if row.step == op.factor[0] else 1) * (
                width if column.step == op.factor[1] else 1
            )
            ops.append(
                ctx.operation(
                    op.name,
                    op.kind,
                    ctx.windows(op.input, kernel=taps.shape, padding=(-row.first, -column.first)),
                    ctx.weighted(op.input, weight, channels),
                    op.output,
                    op.requantize,
                    bias=np.full(channels, -int(taps.sum()) * kind.zero_point),
                    macs=weight.size * results,
                    step=(row.step, column.step),
                    offset=(row.offset, column.offset),
                )
            )
    ctx.emit(*ops)


def move_pixels(ctx: Context, op: Upsample | PixelShuffle | PixelUnshuffle) -> None:
    """Emit a convolution with one weight of one for every result."""
    step = op.factor[1] if isinstance(op, Upsample) else op.factor
    if step > MAX_STEP and not isinstance(op, PixelUnshuffle):
        raise UnsupportedError(
            op.name,
            f"a factor of {step}: the engine's go up to {MAX_STEP}",
            "Use two of them, one behind the other.",
        )
    kind = ctx.values[op.output]
    channels = kind.shape[0]
    bias = np.zeros(channels, np.int64)
    same = keep(kind)
    none = (0, 0, 0, 0)
    if isinstance(op, PixelUnshuffle):
        r = op.factor
        # Output channel c * r * r + i * r + j takes tap (i, j).
        taps = np.eye(r * r, dtype=np.int64).reshape(r * r, 1, r, r)
        weight = np.tile(taps, (channels // (r * r), 1, 1, 1))
        unshuffle = Conv2d(
            op.name, op.input, op.output, weight, 2, bias,
            (r, r), none, (1, 1), channels // (r * r), same,
        )  # fmt: skip
        conv(ctx, unshuffle, op.kind)
        return
    if isinstance(op, Upsample):
        stride = op.factor
        weight = np.ones((channels, 1, *stride), np.int64)
    else:
        r = op.factor
        stride = (r, r)
        taps = np.eye(r * r, dtype=np.int64).reshape(1, r * r, r, r)
        weight = np.tile(taps, (channels, 1, 1, 1))
    transposed = ConvTranspose2d(
        op.name, op.input, op.output, weight, 2, bias, stride, none, (0, 0), channels, same
    )
    conv_transpose(ctx, transposed, op.kind)


LOWERINGS = (
    lowering(Concat, concat, reads_wide=True, writes_wide=True),
    lowering(SelectChannels, select, reads_wide=True, writes_wide=True),
    lowering(UpsampleBilinear, upsample_bilinear, reads_wide=True),
    lowering(Upsample, move_pixels),
    lowering(PixelShuffle, move_pixels),
    lowering(PixelUnshuffle, move_pixels, reads_wide=True, writes_wide=True),
)
