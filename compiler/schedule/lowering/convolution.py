"""Convolutions, in tiles or not, and fully connected layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import Conv2d, ConvTranspose2d, Linear, RoundedConv2d
from tilewright.compiler.ir.op import Op
from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.section import Section
from tilewright.compiler.schedule.array.tiles import (
    KernelWeights,
    TermWeights,
    TileSum,
    TileWindows,
)
from tilewright.compiler.schedule.array.weights import Arrangement, Weights, WeightSource
from tilewright.compiler.schedule.array.windows import Windows
from tilewright.compiler.schedule.limits import EngineLimitError, at_least
from tilewright.compiler.schedule.lowering.context import Context
from tilewright.compiler.schedule.lowering.folds import folded
from tilewright.compiler.schedule.lowering.halves import halved
from tilewright.compiler.schedule.lowering.members import members
from tilewright.compiler.schedule.lowering.phases import by_phases
from tilewright.compiler.schedule.lowering.table import lowering
from tilewright.compiler.schedule.order.channels import (
    ChannelOrder,
    alike,
    natural_order,
    nonzero,
)
from tilewright.compiler.schedule.order.sections import (
    copy_sections,
    dense_sections,
    share_channels,
    support,
)
from tilewright.compiler.schedule.order.taps import useful_taps
from tilewright.compiler.schedule.tiles.choose import channel_shares, check_tiles, choose_tiling
from tilewright.compiler.winograd.integer import bits_for
from tilewright.compiler.winograd.kernels import kernel_transform, ordered
from tilewright.compiler.winograd.terms import Tiling, tilings


def conv(ctx: Context, op: Conv2d, kind: str = "Conv2d", algorithm: str | None = None) -> None:
    """Emit a convolution; one of another kind computes nothing.

    ``algorithm``: instead of the one that was asked for.
    """
    in_type, out_type = ctx.values[op.input], ctx.values[op.output]
    ctx.check_weights(op.name, op.weight)
    rows, columns = useful_taps(op.weight, op.dilation)
    weight = op.weight[:, :, rows][:, :, :, columns]
    kernel = (weight.shape[2], weight.shape[3])
    if not pack_for(ctx, op, weight):
        gather_for(ctx, op, kernel)
    zero_points = weight.reshape(len(weight), -1).sum(1) * in_type.zero_point
    windows = ctx.windows(
        op.input,
        kernel=kernel,
        stride=op.stride,
        dilation=(op.dilation[0] * rows.step, op.dilation[1] * columns.step),
        padding=(
            op.padding[0] - rows.start * op.dilation[0],
            op.padding[2] - columns.start * op.dilation[1],
        ),
    )
    used = nonzero(weight)
    macs = (kind == op.kind) * useful(weight, used) * out_type.shape[1] * out_type.shape[2]
    layer = _Layer(ctx, op, kind, op.bias - zero_points, used)
    plain = layer.operation(windows, weight, macs)
    chosen = choose_tiling(
        plain, weight, ctx.config, ctx.objective, ctx.algorithm(op.name), ctx.timing
    )
    if chosen is None:
        cycles = sum(s.n_kg * plain.pass_cycles(ctx.config, s) for s in plain.sections)
        if (found := members(ctx, op, weight, windows, cycles)) is not None:
            plain = layer.arranged(*found, macs)
        ctx.emit(*by_phases(ctx, halved(ctx.config, folded(ctx.config, plain))))
        return
    tiling, at_load = ordered(chosen[0]), chosen[1]
    kernels = tiling.transform_kernels(weight)
    emit_tiles(layer, plain, tiling, kernels, at_load=at_load)


def rounded_conv(ctx: Context, op: RoundedConv2d) -> None:
    """Emit the terms of a convolution with rounded kernels."""
    _, height, width = ctx.values[op.output].shape
    zero_point = ctx.values[op.input].zero_point
    known = (t.undivided for t in tilings(op.kernel, op.stride) if t.m == op.m)
    tiling = next(known, None)
    if (
        tiling is None
        or not np.array_equal(tiling.data, op.data_factors)
        or not np.array_equal(tiling.output, op.output_factors)
    ):
        raise EngineLimitError(f"{op.name}: the engine has no such tiles")
    if (asked := ctx.algorithms.get(op.name, str(tiling))) != str(tiling):
        raise EngineLimitError(
            f"{op.name}: its kernels are already those of {tiling}, not of {asked!r}"
        )
    gather_for(ctx, op, op.kernel)
    slots = np.array(kernel_transform(tiling).slots)
    if any((op.kernels[slots == slot] != op.kernels[i]).any() for i, slot in enumerate(slots)):
        raise EngineLimitError(f"{op.name}: terms of one kernel must have the same")
    # What an input of ones gives: the same at every place of a tile, since of the points of a
    # transform, constant data reach only the one that counts alike for all results.
    ones = np.einsum(
        "pij,pk,p->kij", op.output_factors, op.kernels.sum(2), op.data_factors.sum((1, 2))
    )
    assert (ones == ones[:, :1, :1]).all(), "zero points would need a bias for each place"
    used = np.asarray(op.kernels.any(axis=0))
    layer = _Layer(ctx, op, op.kind, op.bias - ones[:, 0, 0] * zero_point, used)
    plain = layer.operation(
        ctx.windows(op.input, kernel=op.kernel, stride=op.stride, padding=op.padding[::2]),
        np.zeros((*op.kernels.shape[1:], *op.kernel), np.int64),
        op.kernels[0].size * op.kernel[0] * op.kernel[1] * height * width,
    )
    check_tiles(tiling, plain, ctx.config)
    bits = bits_for(int(op.kernels.min()), int(op.kernels.max()))
    if bits > ctx.config.kernel_width:
        raise EngineLimitError(f"{op.name}: {at_least(ctx.config, 'kernel_width', bits)}")
    emit_tiles(layer, plain, tiling, op.kernels[..., None, None], at_load=False)


def useful(weight: NDArray[np.int64], used: NDArray[np.bool_]) -> int:
    """Return how many weights count as such: of sparse ones, those between channels with any."""
    sparse = 2 * np.count_nonzero(used) < used.size
    return int(np.count_nonzero(used) * weight[0, 0].size if sparse else weight.size)


def pack_for(ctx: Context, op: Conv2d | ConvTranspose2d, weight: NDArray[np.int64]) -> bool:
    """Make channels that are used alike neighbours, if steps saved are worth the copy.

    All later readers of the input read the copy, which exists if the result is true.
    """
    used = nonzero(weight)
    if used.all() or used.shape[1] == 1:
        return False
    order, rows, least = ctx.view(op.input).order, ctx.config.rows, ctx.config.drain_cycles
    slots = np.flatnonzero(order >= 0)
    inputs, outputs = (h * w for _, h, w in (ctx.values[v].shape for v in (op.input, op.output)))
    if isinstance(op, ConvTranspose2d):  # of whose taps a result has some
        outputs //= op.stride[0] * op.stride[1]
    # A kernel group reads at least what one of its outputs does; a copy, as many channels as rows.
    taps = weight[0, 0].size
    most = -(-len(used) // rows) * max(len(order) * taps, least)
    fewest = np.maximum(np.sort(used.sum(1))[::-1][::rows] * taps, least).sum()
    if len(slots) // rows * max(rows, least) * inputs >= (most - fewest) * outputs:
        return False
    reads = support(order, natural_order(len(used), rows), op.groups, used)[: len(used), slots]
    gathered = natural_order(len(slots), rows)
    gathered[: len(slots)] = order[slots]
    packed = gathered.copy()
    packed[: len(slots)] = gathered[: len(slots)][alike(reads.T)]
    if np.array_equal(packed, gathered):
        return False

    def steps(sections: tuple[Section, ...]) -> int:
        return sum(section.n_kg * max(section.steps, least) for section in sections)

    def cost(copy: ChannelOrder) -> int:
        own = steps(ctx.arranged(copy, weight, op.groups, used).sections) * outputs
        if np.array_equal(copy, order):
            return own
        return own + steps(copy_sections(len(slots), order, copy, rows)) * inputs

    # Gaps between channels alone are gathered without another order.
    if cost(packed) >= min(cost(order), cost(gathered)):
        return False
    copy = ctx.fresh(f"{op.output}.packed")
    ctx.arrange(f"{op.name}.packed", op.input, copy, packed)
    ctx.views[op.input] = ctx.view(copy)
    return True


def gather_for(ctx: Context, op: Conv2d | RoundedConv2d, kernel: tuple[int, int]) -> None:
    """Pack the channels that a convolution reads, if that helps."""
    kernels = ctx.values[op.output].shape[0]
    if op.groups == 1:
        kernel_groups = -(-kernels // ctx.config.rows)
        ctx.gather(op.name, op.input, op.output, kernel, kernel_groups)
    elif op.groups == ctx.values[op.input].shape[0] == kernels:
        ctx.gather(op.name, op.input, op.output, kernel, None)


@dataclass(frozen=True)
class _Layer:
    """A convolution, of which operations are made; one of another kind computes nothing.

    ``bias`` : by channel, with what zero points add; ``used`` : (K, C / groups), as of all of them.
    """

    ctx: Context
    op: Conv2d | RoundedConv2d
    kind: str
    bias: NDArray[np.int64]
    used: NDArray[np.bool_]

    def operation(self, windows: Windows, weight: NDArray[np.int64], macs: int) -> ArrayOp:
        """Return the convolution, or a term of it, with a (K, C / groups, R, S) kernel."""
        op, ctx = self.op, self.ctx
        wanted, order = ctx.wanted.get(op.output), ctx.view(op.input).order
        if wanted is None:
            arrangement = ctx.weighted(op.input, weight, op.groups, self.used)
        else:
            sections = dense_sections(weight, 1, order, wanted, ctx.config.rows, self.used)
            arrangement = ctx.dense(sections, wanted)
        return self.arranged(windows, arrangement, macs)

    def arranged(self, windows: Windows, arrangement: Arrangement, macs: int) -> ArrayOp:
        """Return the convolution, or a term of it, with weights as they are arranged."""
        op, ctx = self.op, self.ctx
        return ctx.operation(
            op.name,
            self.kind,
            windows,
            arrangement,
            op.output,
            op.requantize,
            bias=self.bias,
            macs=macs,
        )


def emit_tiles(
    layer: _Layer, plain: ArrayOp, tiling: Tiling, kernels: NDArray[np.int64], *, at_load: bool
) -> None:
    """Emit one operation for each term, with the (terms, K, C / groups, 1, 1) kernels.

    ``plain`` is the layer without tiles; ``at_load``: the engine transforms its kernels.
    """
    config = layer.ctx.config
    rows, taps = config.rows, plain.windows.kernel[0] * plain.windows.kernel[1]
    terms = [_term(layer, plain, tiling, index, kernel) for index, kernel in enumerate(kernels)]
    transform, shares = kernel_transform(tiling), channel_shares(tiling, plain, config)
    ops = []
    for share in range(shares):
        sections = [share_channels(term.sections, share, shares, 1, rows) for term in terms]
        source: WeightSource
        if at_load:
            own = share_channels(plain.sections, share, shares, taps, rows)
            source = KernelWeights(
                sections=sections[0],
                parameters=plain.weights.source.parameters,
                transform=transform,
                taps=taps,
                kernels=own,
                segments=tuple(plain.segments(config, section) for section in own),
            )
        else:
            by_slot = dict(zip(transform.slots, sections, strict=True))
            source = TermWeights(
                sections=sections[0],
                parameters=plain.weights.source.parameters,
                slots=tuple(by_slot[slot] for slot in range(transform.kernels)),
            )
        for index, term in enumerate(terms):
            arrangement = replace(term.weights.arrangement, sections=sections[index])
            ops.append(
                replace(
                    term,
                    weights=Weights(
                        arrangement=arrangement, source=source, slot=transform.slots[index]
                    ),
                    reduction=TileSum(tiling, index, share, shares),
                    macs=plain.macs if index == share == 0 else 0,
                )
            )
    layer.ctx.emit(*ops)


def _term(
    layer: _Layer, plain: ArrayOp, tiling: Tiling, index: int, kernel: NDArray[np.int64]
) -> ArrayOp:
    """Return a term of tiles, of all channels, with its kernel."""
    term, whole = tiling.terms[index], plain.windows
    windows = TileWindows(
        operands=whole.operands,
        type=whole.type,
        kernel=term.taps,
        stride=(tiling.m[0] * tiling.stride[0], tiling.m[1] * tiling.stride[1]),
        dilation=term.step,
        padding=(whole.padding[0] - term.first[0], whole.padding[1] - term.first[1]),
        pad=whole.pad,
        term=term,
    )
    op = layer.operation(windows, kernel, 0)
    return replace(op, result=replace(op.result, step=tiling.m))


def linear(ctx: Context, op: Linear) -> None:
    """Emit a convolution with one result."""
    # The flattened input is a kernel as large as the feature map.
    in_type = ctx.values[op.input]
    channels, height, width = in_type.shape
    weight = op.weight.reshape(-1, channels, height, width)
    ctx.check_weights(op.name, op.weight)
    kernel_groups = -(-len(op.weight) // ctx.config.rows)
    ctx.gather(op.name, op.input, op.output, (height, width), kernel_groups)
    arrangement = ctx.weighted(op.input, weight, 1)
    layer = ctx.operation(
        op.name,
        op.kind,
        ctx.windows(op.input, kernel=(height, width)),
        arrangement,
        op.output,
        op.requantize,
        bias=op.bias - op.weight.sum(1) * in_type.zero_point,
        macs=op.weight.size,
    )
    ctx.emit(halved(ctx.config, folded(ctx.config, layer)))


LOWERINGS = (
    lowering(Conv2d, conv, reads_wide=True, writes_wide=True),
    lowering(RoundedConv2d, rounded_conv),
    lowering(Linear, linear, reads_wide=True, writes_wide=True),
)
WITH_ALGORITHMS: tuple[type[Op], ...] = (Conv2d, RoundedConv2d)
