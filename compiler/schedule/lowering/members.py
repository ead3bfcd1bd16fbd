"""Group convolutions of few results, as sums of convolutions whose channels stay apart.

A group of ``n`` channels and ``k`` results would keep busy a row of the array for each result, and
all rows of a segment, or of the array, wait while another group's channels are broadcast. With the
first members of all groups in channel groups of their own, then all second ones, and so on, a row
adds up the ``n`` members of its own group: ``n`` steps a tap for as many results as there are rows.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import Conv2d
from tilewright.compiler.schedule.array.section import Section
from tilewright.compiler.schedule.array.weights import Arrangement
from tilewright.compiler.schedule.array.windows import JoinedWindows, Operand, Windows
from tilewright.compiler.schedule.lowering.context import Context
from tilewright.compiler.schedule.order.channels import member_order, natural_order
from tilewright.compiler.schedule.order.sections import copy_sections


def members(
    ctx: Context, op: Conv2d, weight: NDArray[np.int64], windows: Windows, most: float
) -> tuple[Windows, Arrangement] | None:
    """Return how a group convolution is such a sum, or None if that takes no fewer cycles.

    Parameters
    ----------
    weight : (K, C / groups, R, S), of the windows
    most : cycles of the array for a word of results in the other way
    """
    per_group = weight.shape[1]
    if op.groups == 1 or per_group == 1 or windows.wide:
        return None
    config, source = ctx.config, op.input
    arrangement = _arrangement(ctx, op.groups, weight)
    order = member_order(op.groups, per_group, config.rows)
    there, channels = ctx.view(source), ctx.values[source].shape[0]
    own = _cycles(ctx, arrangement.sections, weight[0].size * windows.parts(config))
    pixels, results = (h * w for _, h, w in (ctx.values[v].shape for v in (source, op.output)))
    # Of several stored values, a block would have some groups each on chip, at other distances.
    if len(there.parts) > 1 or not np.array_equal(there.order, order):
        copied = _cycles(ctx, copy_sections(channels, there.order, order, config.rows), 1)
        if own * results + copied * pixels >= most * results:
            return None
        source = ctx.fresh(f"{op.output}.members")
        ctx.arrange(f"{op.name}.members", op.input, source, order)
    elif own >= most:
        return None
    view, groups = ctx.view(source), len(order) // config.rows // per_group
    joined = JoinedWindows(
        operands=tuple(
            Operand(view.parts, view.first + member * groups) for member in range(per_group)
        ),
        type=windows.type,
        kernel=windows.kernel,
        stride=windows.stride,
        dilation=windows.dilation,
        padding=windows.padding,
        pad=windows.pad,
    )
    return joined, arrangement


def wanted_orders(ctx: Context) -> None:
    """Find the values whose channels are computed in the order that such sums read.

    Of dense convolutions that nothing else reads: they give their results in any order.
    """
    graph, config = ctx.graph, ctx.config
    makers = {value: op for op in graph.ops for value in op.outputs}
    readers: dict[str, list[object]] = {}
    for op in graph.ops:
        for value in op.inputs:
            readers.setdefault(value, []).append(op)
    for value, maker in makers.items():
        if not isinstance(maker, Conv2d) or maker.groups > 1 or value in ctx.results:
            continue
        groups = {op.groups if isinstance(op, Conv2d) else 1 for op in readers.get(value, [])}
        channels, height, width = ctx.values[value].shape
        if len(groups) != 1 or (count := groups.pop()) in (1, channels):
            continue
        order = member_order(count, channels // count, config.rows)
        more = len(order) // config.rows - -(-channels // config.rows)
        steps = max(maker.weight[0].size, config.drain_cycles)
        gained = sum(_gain(ctx, op, channels) for op in readers[value] if isinstance(op, Conv2d))
        if gained > more * steps * height * width:
            ctx.wanted[value] = order


def _gain(ctx: Context, op: Conv2d, channels: int) -> int:
    """Return the cycles of the array that a group convolution takes less where channels suit."""
    _, height, width = ctx.values[op.output].shape
    plain = ctx.arranged(natural_order(channels, ctx.config.rows), op.weight, op.groups, None)
    apart = _arrangement(ctx, op.groups, op.weight)
    saved = _cycles(ctx, plain.sections, 1) - _cycles(ctx, apart.sections, 1)
    return max(0, saved) * height * width


def _cycles(ctx: Context, sections: Iterable[Section], accesses: int) -> int:
    """Return the cycles of the array for a word of results; ``accesses`` : to a lane."""
    least = max(ctx.config.drain_cycles, accesses)
    return sum(section.n_kg * max(section.steps, least) for section in sections)


def _arrangement(ctx: Context, groups: int, weight: NDArray[np.int64]) -> Arrangement:
    """Return the weights of rows that each add up their own group."""
    rows, kernels = ctx.config.rows, len(weight)
    order = member_order(groups, kernels // groups, rows)
    by_slot = np.where(order[:, None] >= 0, weight.reshape(kernels, -1)[order], 0)
    words = by_slot.reshape(-1, rows, by_slot.shape[1]).transpose(0, 2, 1).astype(np.int16)
    whole = ctx.apart(words, order)
    (section,), each = whole.sections, len(order) // rows * groups // kernels
    sections = tuple(
        Section(kg=kg, cg=0, channels=section.channels, weights=section.weights[kg : kg + each])
        for kg in range(0, len(order) // rows, each)
    )
    return Arrangement(
        sections=sections, segment_log2=whole.segment_log2, per_group=True, order=order
    )
