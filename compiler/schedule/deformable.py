"""Deformable convolution on the array: where samples come from, and how channels must lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from tilewright.compiler.ir import (
    Concat,
    DeformConv2d,
    Input,
    Lookup,
    MaxPool2d,
    Op,
    PixelShuffle,
    PixelUnshuffle,
    Requantize,
    SelectChannels,
    TensorType,
    Upsample,
)
from tilewright.compiler.ir.deformable import fraction_bits
from tilewright.compiler.isa import EngineConfig
from tilewright.compiler.isa.layout import align
from tilewright.compiler.schedule.array_op import Deformation, EngineLimitError, Section
from tilewright.compiler.schedule.channels import ChannelOrder
from tilewright.compiler.schedule.context import Context
from tilewright.errors import UnsupportedError


def value_range(
    producers: Mapping[str, Op], types: Mapping[str, TensorType], value: str
) -> tuple[int, int]:
    """Return the least and the greatest integer that a value of the graph can hold."""
    match producers[value]:
        case Concat(sources=sources):
            ranges = [value_range(producers, types, source) for source in sources]
            return min(low for low, _ in ranges), max(high for _, high in ranges)
        case MaxPool2d() | SelectChannels() | Upsample() | PixelShuffle() | PixelUnshuffle() as op:
            return value_range(producers, types, op.input)
        case Input():
            return types[value].qmin, types[value].qmax
        case Lookup(table=table):
            return int(table.min()), int(table.max())
        case op:
            requantize: Requantize = op.requantize  # type: ignore[attr-defined]
            return requantize.qmin, requantize.qmax


def row_words(config: EngineConfig, channels: int, width: int) -> int:
    """Return the words of the offset buffer that one row of offsets or masks takes."""
    words = align(width * config.rows, config.bus_bytes) // config.rows
    return -(-channels // config.rows) * words


def grouped_order(channels: int, offset_groups: int, rows: int) -> ChannelOrder:
    """Return the order in which every offset group has channel groups of its own."""
    per_group = channels // offset_groups
    order = np.full((offset_groups, -(-per_group // rows) * rows), -1, np.int64)
    order[:, :per_group] = np.arange(channels).reshape(offset_groups, per_group)
    return order.reshape(-1)


def shared_groups(order: ChannelOrder, channels: int, offset_groups: int, rows: int) -> int | None:
    """Return how many channel groups each offset group has; None if they are mixed."""
    n_cg = len(order) // rows
    shared, rest = divmod(n_cg, offset_groups)
    if rest:
        return None
    slots = order.reshape(n_cg, rows)
    found = slots // (channels // offset_groups)
    wanted = (np.arange(n_cg) // shared)[:, None]
    return shared if ((found == wanted) | (slots < 0)).all() else None


def cut_by_offsets(
    sections: tuple[Section, ...], shared: int, per_group: bool, rows: int, taps: int
) -> tuple[Section, ...]:
    """Cut sections so that a command counts offset groups from the first channel group on.

    ``per_group``: kernel groups read a channel group each, and a section those of one offset
    group. Else a section begins with the first channel group of an offset group; weights before
    its own are zero.
    """
    return tuple(
        part
        for section in sections
        for part in (
            _split(section, shared) if per_group else (_begin_earlier(section, shared, rows, taps),)
        )
    )


def _split(section: Section, shared: int) -> Iterator[Section]:
    first = 0
    while first < section.n_kg:
        cg = section.cg + first
        count = min(shared - cg % shared, section.n_kg - first)
        weights = section.weights[first : first + count]
        yield replace(section, kg=section.kg + first, cg=cg, weights=weights)
        first += count


def _begin_earlier(section: Section, shared: int, rows: int, taps: int) -> Section:
    missing = section.cg % shared
    last = section.cg + -(-section.channels // rows) - 1
    if not missing or last // shared == section.cg // shared:
        return section
    zeros = np.zeros((section.n_kg, missing * rows * taps, rows), np.int8)
    return replace(
        section,
        cg=section.cg - missing,
        channels=section.channels + missing * rows,
        weights=np.concatenate([zeros, section.weights], axis=1),
    )


def deform_conv(ctx: Context, op: DeformConv2d) -> None:
    """Emit a convolution whose windows are sampled at positions that are data."""
    ctx.check_weights(op.name, op.weight)
    config, in_type, out_type = ctx.config, ctx.values[op.input], ctx.values[op.output]
    channels, (r, s) = in_type.shape[0], op.kernel
    source = op.input
    shared = shared_groups(ctx.view(source).order, channels, op.offset_groups, config.rows)
    if shared is None:
        source = f"{op.output}.arranged"
        order = grouped_order(channels, op.offset_groups, config.rows)
        ctx.arrange(f"{op.name}.arranged", op.input, source, order)
        shared = len(order) // config.rows // op.offset_groups
    common = ctx.weighted(source, op.output, op.weight, op.groups)
    common["sections"] = cut_by_offsets(
        common["sections"], shared, common["per_group"], config.rows, r * s
    )
    ctx.emit(
        ctx.array_op(
            op.name,
            op.kind,
            (source,),
            op.output,
            op.requantize,
            kernel=(r, s),
            stride=op.stride,
            dilation=op.dilation,
            padding=(op.padding[0], op.padding[2]),
            bias=op.bias - op.weight.reshape(len(op.weight), -1).sum(1) * in_type.zero_point,
            macs=op.weight.size * out_type.shape[1] * out_type.shape[2],
            deform=deformation(ctx, op, shared),
            **common,
        )
    )


def deformation(ctx: Context, op: DeformConv2d, shared: int) -> Deformation:
    """Return where samples come from; put offsets and masks in memory in the model's order."""
    config, offsets = ctx.config, ctx.values[op.offset]
    mask, mask_words, mask_fraction = None, 0, 0
    words = row_words(config, offsets.shape[0], offsets.shape[2])
    if op.mask is not None:
        masks = ctx.values[op.mask]
        mask_words = row_words(config, masks.shape[0], masks.shape[2])
        mask_fraction = fraction_bits(masks, 1) or 0
        _, most = value_range(ctx.producers, ctx.graph.values, op.mask)
        if most > 1 << mask_fraction:
            raise UnsupportedError(
                op.name,
                f"a mask of up to {most * masks.scale:g}: the engine's are at most 1",
                "Use tilewright.nn.QuantMask.",
            )
        mask = in_model_order(ctx, op, op.mask, "mask")
    # Offsets and masks have half of the buffer each.
    needed = max(words, mask_words) << (mask is not None)
    if needed > config.offset_depth:
        least = max(16, 1 << (needed - 1).bit_length())
        raise EngineLimitError(
            f"{op.name}: the offsets of one output row take {needed} words; the engine's "
            f"offset_depth must be at least {least}, not {config.offset_depth}"
        )
    fraction = fraction_bits(offsets) or 0
    for name, bits in (("offset_fraction", fraction), ("mask_fraction", mask_fraction)):
        if bits > getattr(config, name):
            raise EngineLimitError(
                f"{op.name}: {name.partition('_')[0]}s have {bits} bits below the point; the "
                f"engine's {name} must be at least that, not {getattr(config, name)}"
            )
    return Deformation(
        offset=in_model_order(ctx, op, op.offset, "offset"),
        mask=mask,
        fraction=fraction,
        mask_fraction=mask_fraction,
        shared=shared,
        offset_range=value_range(ctx.producers, ctx.graph.values, op.offset),
        row_words=(words, mask_words),
    )


def in_model_order(ctx: Context, op: DeformConv2d, value: str, what: str) -> str:
    """Return a value that is stored in the model's order: this one, or a copy of it."""
    order, view = ctx.natural(value), ctx.view(value)
    if (view.parts, view.first) == ((value,), 0) and np.array_equal(view.order, order):
        return value
    copy = f"{op.output}.{what}"
    ctx.arrange(f"{op.name}.{what}", value, copy, order)
    return copy
