"""Operators of one or two values, element by element: gates, tables, additions, maxima."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tilewright.compiler.ir import (
    Add,
    Gate,
    Lookup,
    Maximum,
    Product,
    Requantize,
    Rescale,
    TensorType,
)
from tilewright.compiler.schedule.array.centred import CentredWindows
from tilewright.compiler.schedule.array.product import FactorWindows
from tilewright.compiler.schedule.array.reduction import Largest
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.array.wide import is_wide
from tilewright.compiler.schedule.array.windows import Operand
from tilewright.compiler.schedule.limits import EngineLimitError, at_least
from tilewright.compiler.schedule.lowering.context import Context, keep
from tilewright.compiler.schedule.lowering.factors import check_factors
from tilewright.compiler.schedule.lowering.pooling import check_maximum
from tilewright.compiler.schedule.lowering.table import lowering
from tilewright.errors import UnsupportedError


def rescale(ctx: Context, op: Rescale) -> None:
    """Emit a requantization by itself."""
    ctx.rescale(op.name, op.input, op.output, op.requantize)


def gate(ctx: Context, op: Gate) -> None:
    """Emit a depthwise operation whose weights are loaded from a feature map."""
    check_factors(ctx, op.name, op.input, op.gate, "factors", centred=True)
    source, kind = op.input, ctx.values[op.input]
    if is_wide(ctx.values[op.gate]) or (is_wide(kind) and kind.zero_point):
        raise UnsupportedError(
            op.name,
            f"factors of {ctx.values[op.gate].bits} bits, or a value of {kind.bits} bits with zero "
            f"point {kind.zero_point}",
            "Quantize factors to 8 bits, and what they multiply symmetrically.",
        )
    if kind.zero_point and not (kind.signed and -128 <= -kind.zero_point < 128):
        source = _with_other_sign(ctx, op, source)  # whose zero point has a byte
    windows = ctx.windows(source)
    if (zero := ctx.values[source].zero_point) != 0:
        windows = CentredWindows(operands=windows.operands, type=windows.type, pad=-zero)
    gate, order = op.gate, ctx.view(source).order
    stored = ctx.view(gate)
    if (stored.parts, stored.first) != ((gate,), 0) or not np.array_equal(stored.order, order):
        gate = ctx.fresh(f"{op.output}.arranged")
        ctx.arrange(f"{op.name}.arranged", op.gate, gate, order)
    ctx.per_channel(
        op.name,
        op.kind,
        windows,
        op.output,
        op.requantize,
        taps=1 if windows.wide else windows.kernel[0],
        bias=0,
        order=order,
        macs=ctx.values[op.output].numel,
        gate=gate,
    )


def product(ctx: Context, op: Product) -> None:
    """Emit windows of one map whose weights are the other's pixels."""
    if not ctx.config.multiplies_maps:
        raise UnsupportedError(
            op.name,
            "a product of two feature maps, which only an engine with products=True, "
            "pipelined=True and weight_bits=8 multiplies",
            "Take such an engine, or quantize with squares=True: tables of squares instead.",
        )
    sources = []
    for value in op.inputs:
        kind, channels = ctx.values[value], ctx.values[op.output].shape[0]
        if kind.shape[0] < channels:
            name, value = value, ctx.fresh(f"{op.output}.channels")
            ctx.values[value] = replace(kind, shape=(channels, *kind.shape[1:]))
            _repeat(ctx, f"{op.name}.channels", name, value)
        sources.append(value)
    x, factor = _roles(ctx, op, side_by_side(ctx, op.name, op.output, sources))
    kind, factor_kind = ctx.values[x], ctx.values[factor]
    views = [ctx.view(value) for value in (factor, x)]
    # What is left of the zero points: -z * factor, and the product of both.
    steps = int(kind.zero_point != 0)
    ctx.per_channel(
        op.name,
        op.kind,
        FactorWindows(
            operands=tuple(Operand(view.parts, view.first) for view in views),
            type=kind,
            factor=factor_kind,
            factor_steps=steps,
        ),
        op.output,
        op.requantize,
        taps=1 + steps,
        bias=kind.zero_point * factor_kind.zero_point,
        order=views[1].order,
        weights=np.array([-kind.zero_point] * steps + [0]),
        macs=ctx.values[op.output].numel,
    )


def _repeat(ctx: Context, name: str, source: str, output: str) -> None:
    """Emit as many copies of a value of one channel as the output has channels."""
    channels = ctx.values[output].shape[0]
    ones = np.ones((channels, 1, 1, 1), np.int64)
    ctx.emit(
        ctx.operation(
            name,
            "Copy",
            ctx.windows(source),
            ctx.weighted(source, ones, 1),
            output,
            None,
            bias=[0] * channels,
            macs=0,
        )
    )


def _roles(ctx: Context, op: Product, operands: list[str]) -> tuple[str, str]:
    """Return which operand has windows and which one is the factor, as copies where need be.

    The factor's zero point is taken off on its way. The other's takes a step, in which the factor
    is read as the other is, and the weight is a byte.
    """
    for x, factor in (operands, operands[::-1]):
        if ctx.values[x].zero_point == 0:
            return x, factor
    for x, factor in (operands, operands[::-1]):
        kind = ctx.values[x]
        if kind.signed == ctx.values[factor].signed and -128 <= -kind.zero_point < 128:
            return x, factor
    for x, factor in (operands, operands[::-1]):
        if ctx.values[x].zero_point == -128:
            return _with_other_sign(ctx, op, x), factor
    x, factor = (
        value if ctx.values[value].signed else _with_other_sign(ctx, op, value)
        for value in operands
    )
    return x, factor


def _with_other_sign(ctx: Context, op: Gate | Product, value: str) -> str:
    """Return the same elements as bytes of the other sign, a copy."""
    kind, name = ctx.values[value], ctx.fresh(f"{op.output}.bytes")
    moved = 128 if kind.signed else -128
    ctx.values[name] = replace(
        kind, bits=8, signed=not kind.signed, zero_point=kind.zero_point + moved
    )
    ctx.rescale(f"{op.name}.bytes", value, name, keep(ctx.values[name]))
    return name


def lookup(ctx: Context, op: Lookup) -> None:
    """Give the operation before it the table, or run it alone if others read its input too."""
    if not ctx.config.tables:
        raise EngineLimitError(
            f"{op.name}: an activation function needs a table; {at_least(ctx.config, 'tables', 1)}"
        )
    kind = ctx.values[op.input]
    table = np.zeros(256, np.uint8)
    table[np.arange(kind.qmin, kind.qmax + 1) & 0xFF] = op.table & 0xFF
    last = ctx.stages[-1] if ctx.stages else None
    readers = sum(other.inputs.count(op.input) for other in ctx.graph.ops)
    own = last is not None and last.output == op.input and readers == 1
    if last is None or not own or last.ops[0].result.table is not None:
        ctx.rescale(op.name, op.input, op.output, keep(kind))
        last = ctx.stages[-1]
    result = replace(last.ops[0].result, value=op.output, type=ctx.values[op.output], table=table)
    ctx.stages[-1] = Stage(
        tuple(
            replace(part, result=replace(result, step=part.result.step, offset=part.result.offset))
            for part in last.ops
        )
    )
    ctx.orders[op.output] = ctx.orders[last.output]


def maximum(ctx: Context, op: Maximum) -> None:
    """Emit the larger of two operands, as a maximum over two channel groups."""
    check_maximum(ctx, op.name, op.inputs)
    operands = side_by_side(ctx, op.name, op.output, op.inputs)
    ctx.per_channel(
        op.name,
        op.kind,
        ctx.windows(*operands),
        op.output,
        None,
        taps=2,
        bias=0,
        order=ctx.view(operands[0]).order,
        reduction=Largest(),
    )


def equally_wide(ctx: Context, name: str, output: str, sources: Sequence[str]) -> list[str]:
    """Return operands of which all have more than 8 bits if one has, as copies where need be."""
    if not any(is_wide(ctx.values[source]) for source in sources):
        return list(sources)
    copies: dict[str, str] = {}
    for source in sources:
        kind = ctx.values[source]
        if source not in copies and not is_wide(kind):
            copies[source] = copy = ctx.fresh(f"{output}.wide")
            ctx.values[copy] = replace(kind, bits=16)
            ctx.rescale(f"{name}.wide", source, copy, keep(ctx.values[copy]))
    return [copies.get(source, source) for source in sources]


def side_by_side(ctx: Context, name: str, output: str, sources: Sequence[str]) -> list[str]:
    """Return operands with their channels in one order, as copies where need be.

    More than two are neighbours on chip, so each is a value of its own.
    """
    first = ctx.view(sources[0])
    result: list[str] = []
    for number, source in enumerate(sources):
        view = ctx.view(source)
        shares = number and first.parts != view.parts and set(first.parts) & set(view.parts)
        apart = len(sources) > 2 and (len(view.parts) > 1 or view.first or view.parts[0] in result)
        if shares or apart or not np.array_equal(first.order, view.order):
            copy = ctx.fresh(f"{output}.arranged")
            ctx.arrange(f"{name}.arranged", source, copy, first.order)
            source = copy
        result.append(source)
    return result


def add(ctx: Context, op: Add) -> None:
    """Emit a sum of two operands, each of which may need a requantization before."""
    shared = TensorType(
        shape=ctx.values[op.output].shape,
        bits=op.shared_bits,
        signed=op.shared_signed,
        scale=1.0,  # not used: the requantizations hold all scales
        zero_point=op.requantize_a.zero_point,
    )
    wide = any(is_wide(kind) for kind in (shared, *(ctx.values[value] for value in op.inputs)))
    if is_wide(shared) and not ctx.config.wide_maps:
        raise UnsupportedError(
            op.name,
            f"the operands' common grid takes {shared.bits} bits and the engine's activations "
            "are bytes",
            "Give both operands one scale: a shared QuantIdentity, or QuantEltwiseAdd; or take an "
            "engine with wide_maps=True.",
        )
    operands, total_zero = [], 0
    for value, requantize, side in (
        (op.input_a, op.requantize_a, "a"),
        (op.input_b, op.requantize_b, "b"),
    ):
        kind = ctx.values[value]
        alike = kind.signed == op.shared_signed and is_wide(kind) == wide
        if changes_nothing(requantize, kind) and alike:
            operands.append(value)
            total_zero += kind.zero_point
            continue
        scaled = ctx.fresh(f"{op.output}.{side}")
        bits = 16 if wide else shared.bits  # both are read alike
        ctx.values[scaled] = replace(shared, bits=bits, zero_point=requantize.zero_point)
        ctx.rescale(f"{op.name}.{side}", value, scaled, requantize)
        operands.append(scaled)
        total_zero += requantize.zero_point
    a, b = side_by_side(ctx, op.name, op.output, operands)
    # The two operands are read like two channel groups.
    ctx.per_channel(
        op.name,
        op.kind,
        ctx.windows(a, b),
        op.output,
        op.requantize,
        taps=2,
        bias=-total_zero,
        order=ctx.view(a).order,
    )


def changes_nothing(requantize: Requantize, kind: TensorType) -> bool:
    """Return whether requantizing ``q - zero_point`` only moves the zero point."""
    moved = requantize.zero_point - kind.zero_point
    return (
        set(requantize.multiplier) == {1}
        and set(requantize.shift) == {0}
        and requantize.qmin <= kind.qmin + moved
        and requantize.qmax >= kind.qmax + moved
    )


LOWERINGS = (
    lowering(Rescale, rescale, reads_wide=True, writes_wide=True),
    lowering(Gate, gate, reads_wide=True, writes_wide=True),
    lowering(Product, product, writes_wide=True),
    lowering(Lookup, lookup),
    lowering(Add, add, reads_wide=True, writes_wide=True),
    lowering(Maximum, maximum),
)
