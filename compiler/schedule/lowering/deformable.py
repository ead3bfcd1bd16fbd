"""Deformable convolution as array operations: windows that are put together from samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tilewright.compiler.ir import DeformConv2d
from tilewright.compiler.ir.deformable import fraction_bits
from tilewright.compiler.ir.op import Op
from tilewright.compiler.schedule.array.sampled import (
    Deformation,
    SampledWindows,
    StackedWindows,
)
from tilewright.compiler.schedule.array.windows import Windows
from tilewright.compiler.schedule.limits import EngineLimitError, at_least
from tilewright.compiler.schedule.lowering.context import Context
from tilewright.compiler.schedule.lowering.samples import (
    Piece,
    groups_of_positions,
    least_columns,
    of_positions,
    pieces_of,
)
from tilewright.compiler.schedule.lowering.table import lowering
from tilewright.compiler.schedule.order.channels import ChannelOrder, View
from tilewright.compiler.schedule.order.offsets import (
    cut_by_offsets,
    fill,
    grouped_order,
    shared_groups,
)
from tilewright.errors import UnsupportedError


def deform_conv(ctx: Context, op: DeformConv2d) -> None:
    """Emit a convolution whose windows are sampled at positions that are data.

    Where the rows that a window can reach fit on chip, in one operation. Else all samples are
    taken first, a channel group after another, and are an ordinary layer's input; tap by tap where
    the positions of all do not fit.
    """
    ctx.check_weights(op.name, op.weight)
    source, shared = _by_offset_groups(ctx, op)
    deform = _deformation(ctx, op, shared)
    config, taps = ctx.config, deform.positions
    arrangement = ctx.weighted(source, op.weight, op.groups)
    groups = 1
    if not arrangement.per_group:
        groups = max(-(-s.channels // config.rows) for s in arrangement.sections)
    pieces = pieces_of(ctx, op, deform, groups, len(ctx.view(source).order) // config.rows)
    windows: Windows
    if pieces:
        source = _sampled(ctx, op, source, deform, pieces)
        sections = tuple(fill(s, taps, config.rows) for s in arrangement.sections)
        plain = ctx.windows(source)
        windows = StackedWindows(operands=plain.operands, type=plain.type, pad=plain.pad, taps=taps)
    else:
        sections = cut_by_offsets(
            arrangement.sections, deform.shared, arrangement.per_group, config.rows, taps
        )
        windows = _windows(ctx, op, source, deform, Piece.of(op.kernel))
    in_type, out_type = ctx.values[op.input], ctx.values[op.output]
    ctx.emit(
        ctx.operation(
            op.name,
            op.kind,
            windows,
            replace(arrangement, sections=sections),
            op.output,
            op.requantize,
            bias=op.bias - op.weight.reshape(len(op.weight), -1).sum(1) * in_type.zero_point,
            macs=op.weight.size * out_type.shape[1] * out_type.shape[2],
        )
    )


def _windows(
    ctx: Context, op: DeformConv2d, source: str, deform: Deformation, piece: Piece
) -> SampledWindows:
    """Return windows of some taps of a layer, sampled from ``source``."""
    plain = ctx.windows(source)
    firsts = (piece.rows.start, piece.columns.start)
    top, left = (
        before - first * step
        for before, first, step in zip(op.padding[::2], firsts, op.dilation, strict=True)
    )
    return SampledWindows(
        operands=plain.operands,
        type=plain.type,
        kernel=(len(piece.rows), len(piece.columns)),
        stride=op.stride,
        dilation=op.dilation,
        padding=(top, left),
        pad=plain.pad,
        deform=deform,
    )


def _sampled(
    ctx: Context, op: DeformConv2d, source: str, deform: Deformation, pieces: Sequence[Piece]
) -> str:
    """Emit the samples at all taps, piece by piece, and return their name.

    They lie tap by tap for each channel group.
    """
    kind, taps, rows = ctx.values[source], deform.positions, ctx.config.rows
    order = ctx.view(source).order.reshape(-1, 1, rows)
    of_taps = np.where(order >= 0, order * taps + np.arange(taps)[:, None], -1)
    total = ctx.fresh(f"{op.output}.samples")
    height, width = ctx.values[op.output].shape[1:]
    ctx.values[total] = replace(kind, shape=(kind.shape[0] * taps, height, width))
    parts, positions = list[str](), dict[tuple[int, range], Deformation]()
    loaded = deform.fits(ctx.config, least_columns(ctx, op))
    for piece in pieces:
        groups = piece.groups or range(len(order))
        mine = piece.positions(op.kernel)
        of_piece = replace(deform, first=mine.start)
        if not loaded:
            key = groups.start // deform.shared, mine
            if key not in positions:
                positions[key] = _some(ctx, op, deform, *key)
            of_piece = positions[key]
        slots = of_taps[groups.start : groups.stop, mine.start : mine.stop].reshape(-1)
        parts.append(_piece(ctx, op, source, of_piece, piece, groups, slots))
    ctx.views[total] = View(tuple(parts), 0, of_taps.reshape(-1))
    return total


def _piece(
    ctx: Context,
    op: DeformConv2d,
    source: str,
    deform: Deformation,
    piece: Piece,
    groups: range,
    slots: ChannelOrder,
) -> str:
    """Emit a piece's samples, whose channels of all samples are in ``slots``; return their name.

    They are of the input's type, since they are rounded here as well. Where not even one channel
    group's rows fit, offsets are cut into classes: each sample is taken in one of them, and is zero
    in the others; then they are added.
    """
    kind, taps = ctx.values[source], len(piece.rows) * len(piece.columns)
    held = slots >= 0
    held[0] |= not held.any()  # a group of gaps is sampled, too, so that no other takes its place
    order = np.where(held, np.cumsum(held) - 1, -1)
    channels = int(held.sum())
    apart = ctx.apart(np.ones((len(groups) * taps, 1, ctx.config.rows), np.int16), order)
    (whole,) = apart.sections
    sections = tuple(
        replace(
            whole,
            kg=kg,
            cg=groups.start + kg // taps,
            tap=kg % taps,
            weights=whole.weights[kg : kg + 1],
        )
        for kg in range(whole.n_kg)
    )
    total = ""
    for number, taken in enumerate(piece.classes):
        samples = ctx.fresh(f"{op.output}.samples" + f".{number}" * (len(piece.classes) > 1))
        ctx.values[samples] = replace(kind, shape=(channels, *ctx.values[op.output].shape[1:]))
        ctx.emit(
            ctx.operation(
                f"{op.name}.samples",
                "Sample",
                _windows(ctx, op, source, replace(deform, taken=taken), piece),
                replace(apart, sections=sections),
                samples,
                None,
                bias=[0] * channels,
                macs=0,
            )
        )
        if number == 0:
            total = samples
            continue
        before, total = total, ctx.fresh(f"{op.output}.sum.{number}")
        ctx.values[total] = ctx.values[samples]
        ctx.per_channel(
            f"{op.name}.sum",
            "Copy",
            ctx.windows(before, samples),
            total,
            None,
            taps=2,
            bias=-kind.zero_point,
            order=order,
            macs=0,
        )
    return total


def _some(
    ctx: Context, op: DeformConv2d, deform: Deformation, group: int, positions: range
) -> Deformation:
    """Emit copies of some positions of an offset group; return where samples come from then."""
    first = group * deform.positions + positions.start

    def copied(value: str, what: str, each: int) -> str:
        kind, chosen = ctx.values[value], ctx.fresh(f"{op.output}.{what}.some")
        low, count = first * each, len(positions) * each
        ctx.values[chosen] = replace(kind, shape=(count, *kind.shape[1:]))
        slots = {
            part: np.where((order >= low) & (order < low + count), order - low, -1)
            for part, order in ctx.view(value).by_part(ctx.orders, ctx.config.rows).items()
        }
        ctx.views[chosen] = View.of(slots, ctx.config.rows)
        copy = ctx.fresh(f"{op.output}.{what}")
        ctx.arrange(f"{op.name}.{what}", chosen, copy, ctx.natural(chosen))
        return copy

    return replace(
        of_positions(ctx, deform, len(positions)),
        offset=copied(deform.offset, "offset", 2),
        mask=None if deform.mask is None else copied(deform.mask, "mask", 1),
        first=-group * deform.positions,
    )


def _by_offset_groups(ctx: Context, op: DeformConv2d) -> tuple[str, int]:
    """Return the input where offset groups have channel groups of their own, and how many each."""
    channels, rows = ctx.values[op.input].shape[0], ctx.config.rows
    shared = shared_groups(ctx.view(op.input).order, channels, op.offset_groups, rows)
    if shared is not None:
        return op.input, shared
    source = ctx.fresh(f"{op.output}.arranged")
    order = grouped_order(channels, op.offset_groups, rows)
    ctx.arrange(f"{op.name}.arranged", op.input, source, order)
    return source, len(order) // rows // op.offset_groups


def _deformation(ctx: Context, op: DeformConv2d, shared: int) -> Deformation:
    """Return where samples come from; put offsets and masks in memory in the model's order."""
    config, offsets = ctx.config, ctx.values[op.offset]
    mask, mask_fraction = None, 0
    if op.mask is not None:
        masks = ctx.values[op.mask]
        mask_fraction = fraction_bits(masks, 1) or 0
        _, most = ctx.ranges[op.mask]
        if most > 1 << mask_fraction:
            raise UnsupportedError(
                op.name,
                f"a mask of up to {most * masks.scale:g}: the engine's are at most 1",
                "Use tilewright.nn.QuantMask.",
            )
        mask = _in_model_order(ctx, op, op.mask, "mask")
    fraction = fraction_bits(offsets) or 0
    for name, bits in (("offset_fraction", fraction), ("mask_fraction", mask_fraction)):
        if bits > getattr(config, name):
            raise EngineLimitError(
                f"{op.name}: {name.partition('_')[0]}s have {bits} bits below the point; "
                f"{at_least(config, name, bits)}"
            )
    return Deformation(
        offset=_in_model_order(ctx, op, op.offset, "offset"),
        mask=mask,
        fraction=fraction,
        mask_fraction=mask_fraction,
        shared=shared,
        offset_range=ctx.ranges[op.offset],
        taken=(-128, 127),
        positions=op.kernel[0] * op.kernel[1],
        position_groups=groups_of_positions(
            config, offsets.shape[0] // 2, masked=op.mask is not None
        ),
    )


def _in_model_order(ctx: Context, op: DeformConv2d, value: str, what: str) -> str:
    """Return a value that is stored in the model's order: this one, or a copy of it."""
    order, view = ctx.natural(value), ctx.view(value)
    if (view.parts, view.first) == ((value,), 0) and np.array_equal(view.order, order):
        return value
    copy = ctx.fresh(f"{op.output}.{what}")
    ctx.arrange(f"{op.name}.{what}", value, copy, order)
    return copy


LOWERINGS = (lowering(DeformConv2d, deform_conv),)
WITH_ALGORITHMS: tuple[type[Op], ...] = (DeformConv2d,)
