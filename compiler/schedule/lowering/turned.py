"""Values turned so that pixels are channels and channels are pixels.

Bytes of pixel words become pixels of one or two channels: by a load of pixels of so few bytes, or
where an engine has none, by copies of channels that lie a few pixels apart. Windows whose taps are
as many pixels as there are rows then bring each to a channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tilewright.compiler.schedule.array.dynamic import Taps, TurnWindows, one_kernel
from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.section import Section
from tilewright.compiler.schedule.array.windows import Operand
from tilewright.compiler.schedule.limits import MAX_DILATION, MAX_STEP
from tilewright.compiler.schedule.lowering.context import Context, Pair
from tilewright.compiler.schedule.order.channels import ChannelOrder
from tilewright.compiler.schedule.order.offsets import grouped_order
from tilewright.isa import EngineConfig


@dataclass(frozen=True)
class Turned:
    """Some channels of a value: pixels ``first .. first + count - 1`` of one of its own.

    Its channels are the pixels, row by row.
    """

    value: str
    first: int
    count: int


def in_order(ctx: Context, name: str, output: str, value: str, order: ChannelOrder) -> str:
    """Return a value with its channels in an order: itself, or a copy.

    ``name``, ``output`` : of the layer that reads it
    """
    if np.array_equal(ctx.view(value).order, order):
        return value
    copy = ctx.fresh(f"{output}.arranged")
    ctx.arrange(f"{name}.arranged", value, copy, order)
    return copy


def turned(ctx: Context, name: str, output: str, source: str, groups: int) -> list[list[Turned]]:
    """Turn the channels of each group of a value, and return where they are.

    Parameters
    ----------
    name, output : of the layer that reads it
    source : value without a zero point
    """
    channels, height, width = ctx.values[source].shape
    config, per_group = ctx.config, channels // groups
    size = _pixel_bytes(config, height * width, ctx.timing.gaps.command)
    if size:
        whole = _by_bytes(ctx, name, output, source, groups, size)
        slots = -(-per_group // config.rows) * config.rows
        return [[Turned(whole, group * slots, per_group)] for group in range(groups)]
    return [
        list(_by_copies(ctx, name, source, range(group * per_group, (group + 1) * per_group)))
        for group in range(groups)
    ]


def _pixel_bytes(config: EngineConfig, pixels: int, command: int) -> int:
    """Return the bytes that are loaded as a pixel, which take the fewest cycles; 0 if none do.

    Fewer bytes take longer to load, and more take more steps. ``command`` : cycles between two.
    """
    beats, kernel_groups = config.rows // config.bus_bytes, -(-pixels // config.rows)

    def cycles(size: int) -> int:
        count = config.rows // size
        steps = config.rows * size * (size + 1) // 2
        passes = kernel_groups * steps * -(-count // config.cols)
        return max(pixels * count * beats, passes + kernel_groups * size * command)

    sizes = [
        size
        for size in config.pixel_sizes
        if size <= MAX_STEP
        and config.rows // size <= MAX_DILATION
        and size % config.cols
        and -(-pixels * config.rows // (size * config.cols)) <= config.act_depth
    ]
    return min(sizes, key=cycles, default=0)


def _by_bytes(ctx: Context, name: str, output: str, source: str, groups: int, size: int) -> str:
    """Turn a value that is loaded as pixels of few bytes; return it with a pixel for each slot.

    A channel group is a row, in which the channels of a pixel are ``rows / size`` pixels.
    """
    rows, (channels, height, width) = ctx.config.rows, ctx.values[source].shape
    stored = in_order(ctx, name, output, source, grouped_order(channels, groups, rows))
    if len(ctx.view(stored).parts) > 1:
        stored, parts = ctx.fresh(f"{output}.arranged"), stored
        ctx.copy(f"{name}.arranged", parts, stored)
    view, pixels, count = ctx.view(stored), height * width, rows // size
    (part,) = view.parts
    values = ctx.fresh(f"{part}.bytes")
    shape = size, len(ctx.orders[part]) // rows, pixels * count
    ctx.values[values] = replace(ctx.values[part], shape=shape)
    ctx.orders[values] = ctx.natural(values)
    ctx.aliases[values], ctx.pixels[values] = part, size
    taps = tuple(Taps(view.first, first * count, 1, rows) for first in range(0, pixels, rows))
    return _turn(ctx, name, values, pixels, (len(view.order) // rows, rows), taps, (1, count))


def _by_copies(ctx: Context, name: str, source: str, channels: range) -> Iterator[Turned]:
    """Turn channels by copies: as many together as have room on chip.

    Of one channel, pixel (y, x) of the copy of channel ``j * step + i`` is pixel
    ``(y * count + j, x * step + i)``.
    """
    config, (_, height, width) = ctx.config, ctx.values[source].shape
    steps = [n for n in range(1, MAX_STEP + 1) if len(channels) % n == 0 and n % config.cols]
    step = max(steps)
    words = height * -(-width * step // config.cols)
    most = max(1, min(config.act_depth // (2 * words), MAX_DILATION))
    whole = len(channels) // step
    each = -(-whole // -(-whole // most))
    pixels = height * width
    for first in range(0, whole, each):
        count = min(each, whole - first)
        begin = channels.start + first * step
        planes = _planes(ctx, name, source, begin, (count, step))
        taps = tuple(_taps(config.rows, (count, step), height, width))
        value = _turn(ctx, name, planes, pixels, (count, step), taps, (count, step))
        yield Turned(value, 0, count * step)


def _planes(ctx: Context, name: str, source: str, first: int, step: Pair) -> str:
    """Emit copies of as many channels from the first one on as there are pixels in a step."""
    kind = ctx.values[source]
    channels, height, width = kind.shape
    planes = ctx.fresh(f"{source}.planes")
    ctx.values[planes] = replace(kind, shape=(1, height * step[0], width * step[1]))
    ops = []
    for number in range(step[0] * step[1]):
        chosen = np.zeros((1, channels, 1, 1), np.int64)
        chosen[0, first + number] = 1
        ops.append(
            ctx.operation(
                f"{name}.planes",
                "Copy",
                ctx.windows(source),
                ctx.weighted(source, chosen, 1),
                planes,
                None,
                bias=[0],
                macs=0,
                step=step,
                offset=divmod(number, step[1]),
            )
        )
    ctx.emit(*ops)
    return planes


def _taps(rows: int, step: Pair, height: int, width: int) -> Iterator[Taps]:
    """Yield the taps of kernel groups of pixels that lie a step apart."""
    for first in range(0, height * width, rows):
        last = min(first + rows, height * width) - 1
        top, bottom = first // width, last // width
        if top == bottom:
            yield Taps(top * step[0], first % width * step[1], 1, rows)
        else:
            yield Taps(top * step[0], 0, bottom - top + 1, width)


def _turn(
    ctx: Context,
    name: str,
    source: str,
    pixels: int,
    shape: Pair,
    taps: tuple[Taps, ...],
    dilation: Pair,
) -> str:
    """Emit a value whose channels are taps of windows, of each channel for some of its columns.

    Parameters
    ----------
    pixels : channels of the result
    shape : its rows and columns; column x is of channel ``x mod channels``
    taps : of each kernel group; the last have those of its channels
    dilation : rows and columns between taps
    """
    kind, output = ctx.values[source], ctx.fresh(f"{source}.turned")
    ctx.values[output] = replace(kind, shape=(pixels, *shape))
    view, channels = ctx.view(source), kind.shape[0]
    windows = TurnWindows(
        operands=(Operand(view.parts, view.first),),
        type=kind,
        kernel=(max(t.rows for t in taps), max(t.columns for t in taps)),
        dilation=dilation,
        groups_taps=taps,
    )

    def of(channel: int) -> ArrayOp:
        sections = tuple(
            _section(ctx.config.rows, kg, own, pixels, channel) for kg, own in enumerate(taps)
        )
        op = ctx.operation(
            f"{name}.turned",
            "Copy",
            windows,
            ctx.dense(sections, ctx.natural(output)),
            output,
            None,
            bias=[0] * pixels,
            macs=0,
            step=(1, channels),
            offset=(0, channel),
        )
        words = sections[0].weights
        alike = all(np.array_equal(section.weights, words) for section in sections)
        return replace(op, weights=one_kernel(op.weights)) if alike else op

    ctx.emit(*map(of, range(channels)))
    return output


def _section(rows: int, kg: int, taps: Taps, pixels: int, channel: int) -> Section:
    """Return the weights that bring each pixel of a kernel group to a row of the array."""
    size = channel + 1
    # Of one row, taps behind the last pixel are padding.
    count = rows if taps.rows == 1 else min(rows, pixels - kg * rows)
    # Taps of several rows begin with pixels of the kernel group before.
    first = kg * rows % taps.columns if taps.rows > 1 else 0
    words = np.zeros((1, taps.rows * taps.columns * size, rows), np.int16)
    words[0, (first + np.arange(count)) * size + channel, np.arange(count)] = 1
    return Section(kg=kg, cg=0, channels=size, weights=words)
