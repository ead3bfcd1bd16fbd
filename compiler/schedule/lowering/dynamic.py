"""Sums whose weights another layer computes: its pixel words become weight words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import DynamicConv2d, MatMul
from tilewright.compiler.schedule.array.dynamic import MapWeights, PixelRun, pixel_runs
from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.section import Section
from tilewright.compiler.schedule.array.weights import Weights
from tilewright.compiler.schedule.lowering.context import Context
from tilewright.compiler.schedule.lowering.factors import check_factors
from tilewright.compiler.schedule.lowering.table import lowering
from tilewright.compiler.schedule.lowering.turned import Turned, in_order, turned
from tilewright.compiler.schedule.order.offsets import grouped_order
from tilewright.isa.layout import FeatureMapLayout


def matmul(ctx: Context, op: MatMul) -> None:
    """Emit a convolution of one tap whose kernels are pixels, or channels, of a value."""
    check_factors(ctx, op.name, op.input, op.weight, "weights")
    rows = ctx.config.rows
    channels, kernels = (ctx.values[v].shape[0] for v in (op.input, op.output))
    per_group, outputs = channels // op.groups, kernels // op.groups
    source = in_order(ctx, op.name, op.output, op.input, grouped_order(channels, op.groups, rows))
    order = grouped_order(kernels, op.groups, rows)
    if op.transposed:
        heads = turned(ctx, op.name, op.output, op.weight, op.groups)
        runs = _turned_runs(ctx, heads, -(-outputs // rows))
    else:
        weight = in_order(ctx, op.name, op.output, op.weight, order)
        runs = _map_runs(ctx, weight, [(0, per_group)])
    together = -(-outputs // rows)
    sections = tuple(
        Section(
            kg=group * together,
            cg=group * -(-per_group // rows),
            channels=per_group,
            weights=_none(together, per_group, rows),
        )
        for group in range(op.groups)
    )
    plain = ctx.operation(
        op.name,
        op.kind,
        ctx.windows(source),
        ctx.dense(sections, order),
        op.output,
        op.requantize,
        bias=[0] * kernels,
        macs=per_group * ctx.values[op.output].numel,
    )
    ctx.emit(_with_runs(plain, runs))


def dynamic_conv(ctx: Context, op: DynamicConv2d) -> None:
    """Emit a convolution, in groups or row by row, whose kernels are pixels of a value."""
    check_factors(ctx, op.name, op.input, op.weight, "weights")
    rows = ctx.config.rows
    (channels, *_), taps = ctx.values[op.input].shape, op.kernel[0] * op.kernel[1]
    kernels, per_group = ctx.values[op.output].shape[0], channels // op.groups
    if 1 < op.groups == channels == kernels:
        source, order = op.input, ctx.view(op.input).order
        weight = in_order(ctx, op.name, op.output, op.weight, order)
        arrangement = ctx.apart(_none(len(order) // rows, taps, rows), order)
        pieces = [(0, taps)]
    else:
        order = grouped_order(kernels, op.groups, rows)
        own = grouped_order(channels, op.groups, rows)
        source = in_order(ctx, op.name, op.output, op.input, own)
        weight = in_order(ctx, op.name, op.output, op.weight, order)
        together = len(order) // rows // op.groups
        sections = tuple(
            Section(
                kg=group * together,
                cg=group * (len(own) // rows // op.groups),
                channels=per_group,
                weights=_none(together, taps * per_group, rows),
            )
            for group in range(op.groups)
        )
        arrangement = ctx.dense(sections, order)
        pieces = [
            (tap * per_group + first, min(rows, per_group - first))
            for first in range(0, per_group, rows)
            for tap in range(taps)
        ]
    plain = ctx.operation(
        op.name,
        op.kind,
        ctx.windows(
            source,
            kernel=op.kernel,
            stride=op.stride,
            dilation=op.dilation,
            padding=(op.padding[0], op.padding[2]),
        ),
        arrangement,
        op.output,
        op.requantize,
        bias=op.bias,
        macs=taps * per_group * ctx.values[op.output].numel,
    )
    ctx.emit(_with_runs(plain, _map_runs(ctx, weight, pieces)))


def _none(n_kg: int, steps: int, rows: int) -> NDArray[np.int16]:
    """Return as many weights that are not known."""
    return np.broadcast_to(np.int16(0), (n_kg, steps, rows))


def _with_runs(op: ArrayOp, runs: tuple[tuple[PixelRun, ...], ...]) -> ArrayOp:
    """Return an operation with weights that are pixel words."""
    arrangement, parameters = op.weights.arrangement, op.weights.source.parameters
    source = MapWeights(sections=arrangement.sections, parameters=parameters, runs=runs)
    return replace(op, weights=Weights(arrangement=arrangement, source=source))


def _map_runs(
    ctx: Context, value: str, pieces: Sequence[tuple[int, int]]
) -> tuple[tuple[PixelRun, ...], ...]:
    """Return the runs of kernel groups that are the channel groups of a value, in order."""
    return tuple(
        tuple(pixel_runs(_layout(ctx, part), part, group, pieces))
        for part, group in _channel_groups(ctx, value)
    )


def _layout(ctx: Context, value: str) -> FeatureMapLayout:
    """Return how a stored value lies in memory."""
    order = tuple(ctx.orders[value])
    return FeatureMapLayout(ctx.config, *ctx.values[value].shape, order=order)


def _channel_groups(ctx: Context, value: str) -> list[tuple[str, int]]:
    """Return the stored value and its channel group of each channel group of a value."""
    view, rows = ctx.view(value), ctx.config.rows
    groups = [(p, g) for p in view.parts for g in range(len(ctx.orders[p]) // rows)]
    return groups[view.first : view.first + len(view.order) // rows]


def _turned_runs(
    ctx: Context, heads: Sequence[Sequence[Turned]], kernel_groups: int
) -> tuple[tuple[PixelRun, ...], ...]:
    """Return the runs of each head's kernel groups, of values whose channels were pixels."""
    return tuple(
        tuple(_turned(ctx, pieces, group)) for pieces in heads for group in range(kernel_groups)
    )


def _turned(ctx: Context, pieces: Iterable[Turned], group: int) -> Iterator[PixelRun]:
    step = 0
    for piece in pieces:
        layout = _layout(ctx, piece.value)
        yield from pixel_runs(
            layout, piece.value, group, [(piece.first, piece.count)], first_step=step
        )
        step += piece.count


LOWERINGS = (
    lowering(MatMul, matmul, writes_wide=True),
    lowering(DynamicConv2d, dynamic_conv, writes_wide=True),
)
