"""Recurrences: each slice is a convolution and an addition, on rows of maps in memory.

Nothing is copied for them: a row of the input, and of the output, is a value of its own whose bytes
are those of the whole. Columns are rows of the map with rows and columns exchanged.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tilewright.compiler.ir import Add, Recurrence
from tilewright.compiler.schedule.limits import EngineLimitError
from tilewright.compiler.schedule.lowering.context import Context, keep
from tilewright.compiler.schedule.lowering.convolution import conv
from tilewright.compiler.schedule.lowering.elementwise import add, changes_nothing
from tilewright.compiler.schedule.lowering.table import lowering


def recurrence(ctx: Context, op: Recurrence) -> None:
    """Emit a recurrence over rows, or over columns as rows of what is exchanged."""
    source, kind = op.input, ctx.values[op.output]
    view = ctx.view(source)
    same = changes_nothing(op.requantize_input, ctx.values[source])
    if not same or ctx.values[source].signed != kind.signed or view.parts != (source,):
        source = ctx.fresh(f"{op.output}.input")
        ctx.values[source] = kind
        ctx.rescale(f"{op.name}.input", op.input, source, op.requantize_input)
    if not op.columns:
        _over_rows(ctx, op, source, op.output)
        return
    turned = ctx.fresh(f"{op.output}.columns")
    _over_rows(ctx, op, _exchanged(ctx, op.name, source), turned)
    back = _exchanged(ctx, op.name, turned)
    ctx.orders[op.output] = ctx.orders[back]
    ctx.aliases[op.output] = ctx.aliases[back]


def _over_rows(ctx: Context, op: Recurrence, source: str, output: str) -> None:
    """Emit a recurrence over the rows of a value on the output's grid."""
    channels, height, width = ctx.values[source].shape
    kind = replace(ctx.values[op.output], shape=(channels, height, width))
    ctx.values[output], ctx.orders[output] = kind, ctx.orders[source]
    row = replace(kind, shape=(channels, 1, width))
    ends = replace(keep(row), qmin=op.requantize_input.qmin, qmax=op.requantize_input.qmax)
    before = None
    for place in op.slices(ctx.values):
        mine = _row(ctx, source, f"{op.output}.input.{place}", place)
        result = _row(ctx, output, f"{op.output}.{place}", place)
        if before is None:
            ctx.rescale(op.name, mine, result, keep(row))
        else:
            message = ctx.fresh(f"{op.output}.message.{place}")
            ctx.values[message] = row
            ctx.wanted[message] = ctx.orders[source]
            conv(ctx, op.message(before, message))
            add(
                ctx,
                Add(op.name, mine, message, result, keep(row), keep(row), ends, 8, row.signed),
            )
        before = result


def _row(ctx: Context, whole: str, name: str, place: int) -> str:
    """Return a row of a value in memory, as a value."""
    value, kind = ctx.fresh(name), ctx.values[whole]
    channels, height, width = kind.shape
    ctx.values[value] = replace(kind, shape=(channels, 1, width))
    ctx.orders[value] = ctx.orders[whole]
    ctx.aliases[value], ctx.rows[value] = ctx.aliases.get(whole, whole), (place, height)
    return value


def _exchanged(ctx: Context, name: str, source: str) -> str:
    """Emit a copy of a value with rows and columns exchanged, and return it.

    A column is as many rows of one pixel, one column behind the other: the bytes of rows.
    """
    config, kind = ctx.config, ctx.values[source]
    channels, height, width = kind.shape
    if config.rows % config.bus_bytes:
        raise EngineLimitError(
            f"{name}: a recurrence over columns needs pixel words of whole bus beats: take an "
            f"engine with rows a multiple of {config.bus_bytes}, the bytes of its bus, or let the "
            "recurrence run over rows"
        )
    pixels = ctx.fresh(f"{source}.pixels")
    ctx.values[pixels] = replace(kind, shape=(channels, width * height, 1))
    order = ctx.orders[source]
    words = np.ones((len(order) // config.rows, 1, config.rows), np.int16)
    first = ctx.operation(
        f"{name}.columns",
        "Copy",
        ctx.windows(source),
        ctx.apart(words, order),
        pixels,
        None,
        bias=[0] * channels,
        macs=0,
    )
    ctx.emit(
        *(
            replace(
                first,
                windows=replace(first.windows, padding=(0, -column)),
                result=replace(first.result, offset=(column * height, 0), most=height),
            )
            for column in range(width)
        )
    )
    result = ctx.fresh(f"{source}.exchanged")
    ctx.values[result] = replace(kind, shape=(channels, width, height))
    ctx.orders[result], ctx.aliases[result] = order, pixels
    return result


LOWERINGS = (lowering(Recurrence, recurrence),)
