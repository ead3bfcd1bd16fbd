"""Sums of operands on grids that no byte holds together, from the low digits up.

``scale_a * a + scale_b * b`` over the result's scale is two factors. If they are as two small whole
numbers, one WeightedSum is the sum, exactly. Otherwise they are taken to some 24 bits below the
point and cut into digits: each step adds its digits of both operands and the carry of the step
before, and divides. What the lowest digit leaves out is less than 2**-16 of a step of the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from tilewright.compiler.ir.ops import Rescale, WeightedSum
from tilewright.compiler.ir.types import Ratio
from tilewright.compiler.quantized.to_integer.folding import ratio_or_explain
from tilewright.compiler.quantized.to_integer.residual import shared_grid
from tilewright.compiler.quantized.to_integer.values import AddSource, Pending, Quantized
from tilewright.compiler.quantized.types import Quantization
from tilewright.errors import UnsupportedError

if TYPE_CHECKING:
    from tilewright.compiler.quantized.to_integer.builder import Builder

_BYTE = 8
_MAX_FACTOR = 1016
"""Eight times the largest weight."""
_MAX_RATIO = 16.0
"""Of an operand's scale to the sum's; the highest digit is 512 times as much."""
_SHIFTS = ((8, 8, 8), (7, 8, 8), (8, 7, 8), (7, 7, 8), (7, 7, 7, 8))
"""Bits that steps divide by; others where a carry needs more than a byte."""


def needs_digits(source: AddSource) -> bool:
    """Whether two operands of bytes have no grid of bytes together."""
    if source.shared is not None or max(source.a.type.bits, source.b.type.bits) > _BYTE:
        return False
    return shared_grid(source.a, source.b).bits > _BYTE


@dataclass(frozen=True)
class Step:
    """``floor((sum(factor * operand) + carry + bias) / 2**shift)``, in ``low..high``."""

    factors: tuple[int, ...]
    bias: int
    shift: int
    low: int
    high: int


def exact_sum(
    builder: Builder, name: str, x: Pending, source: AddSource, grid: Quantization
) -> Quantized:
    """Emit a sum with one rounding.

    Raises
    ------
    UnsupportedError  If the operands' scales are too far from the result's.
    """
    a, b = _same_sign(builder, name, source.a, source.b)
    operands = (a,) if a.value == b.value else (a, b)
    if len(operands) == 1:
        operands = (replace(a, type=replace(a.type, scale=2 * a.type.scale)),)
    ratios = [v.type.scale / grid.scale for v in operands]
    names = tuple(v.value for v in operands)
    whole = _whole(ratios)
    if whole is not None:
        factors, unit = whole
        scale = ratio_or_explain(
            x.where, [unit] * x.shape[0], grid.zero_point, grid.qmin, grid.qmax
        )
        op = WeightedSum(name, names, name, np.array(factors), 0, scale)
        return builder.emit(op, grid, x.shape)
    steps = _steps(x.where, operands, ratios)
    carry: Quantized | None = None
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        target = grid if last else _carry_grid(step, a.type.signed)
        own = name if last else builder.unique(f"{name}.carry{number}")
        # Twice everything, and one less than half a step: rounding to nearest is rounding down.
        factors, reads = [2 * f for f in step.factors], list(names)
        if carry is not None:
            factors, reads = [*factors, 2], [*reads, carry.value]
        bias = 2 * step.bias + 1 - (1 << step.shift)
        scale = Ratio.of(
            [2.0 ** -(step.shift + 1)] * x.shape[0], target.zero_point, target.qmin, target.qmax
        )
        op = WeightedSum(own, tuple(reads), own, np.array(factors), bias, scale)
        carry = builder.emit(op, target, x.shape)
    assert carry is not None
    return carry


def _same_sign(
    builder: Builder, name: str, a: Quantized, b: Quantized
) -> tuple[Quantized, Quantized]:
    """Return both operands signed or both not: a signed one is the unsigned one, moved."""
    if a.type.signed == b.type.signed:
        return a, b
    if b.type.signed:
        second, first = _same_sign(builder, name, b, a)
        return first, second
    middle = 1 << (b.type.bits - 1)
    t = replace(b.type, signed=True, zero_point=b.type.zero_point - middle)
    grid = Quantization(t.scale, t.zero_point, t.bits, True, b.qmin - middle, b.qmax - middle)
    own = builder.unique(f"{name}.signed")
    one = Ratio.of([1.0] * t.shape[0], grid.zero_point, grid.qmin, grid.qmax)
    return a, builder.emit(Rescale(own, b.value, own, one), grid, t.shape)


def _whole(ratios: list[float]) -> tuple[list[int], float] | None:
    """Small whole numbers that are as the ratios, and what one of them is; None if there are none.

    Scales of float32 that should be as small numbers miss them by its precision.
    """
    least = min(ratios)
    parts = [Fraction(r / least).limit_denominator(64) for r in ratios]
    if any(abs(float(p) * least / r - 1) > 2.0**-40 for p, r in zip(parts, ratios, strict=True)):
        return None
    count = math.lcm(*(p.denominator for p in parts))
    factors = [int(p * count) for p in parts]
    return (factors, least / count) if max(factors) <= _MAX_FACTOR else None


def _steps(where: str, operands: tuple[Quantized, ...], ratios: list[float]) -> list[Step]:
    ends = [(v.qmin - v.type.zero_point, v.qmax - v.type.zero_point) for v in operands]
    if max(ratios) <= _MAX_RATIO:
        for shifts in _SHIFTS:
            if (found := _digits(ratios, ends, shifts)) is not None:
                return found
    raise UnsupportedError(
        where,
        f"a sum of operands whose scales are {', '.join(f'{r:.3g}' for r in ratios)} of its own",
        "Quantize operands and sum to scales that are nearer to each other.",
    )


def _digits(
    ratios: list[float], ends: list[tuple[int, int]], shifts: tuple[int, ...]
) -> list[Step] | None:
    """Cut factors into digits; None if a carry needs more than a byte."""
    bits = sum(shifts)
    rest = [round(Fraction(r) * (1 << bits)) for r in ratios]
    bias, low, high = 1 << (bits - 1), 0, 0  # half a step: what is cut off below is rounding
    steps = []
    for shift in shifts[:-1]:
        base = 1 << shift
        digits = [(f + base // 2) % base - base // 2 for f in rest]
        rest = [(f - d) >> shift for f, d in zip(rest, digits, strict=True)]
        own, bias = bias % base, bias >> shift
        sums = [sorted((d * e[0], d * e[1])) for d, e in zip(digits, ends, strict=True)]
        low = (low + own + sum(s[0] for s in sums)) >> shift
        high = (high + own + sum(s[1] for s in sums)) >> shift
        moved = (low + high + 1) // 2
        own, bias = own - moved * base, bias + moved
        low, high = low - moved, high - moved
        if low < -128 or high > 127:
            return None
        steps.append(Step(tuple(digits), own, shift, low, high))
    return [*steps, Step(tuple(rest), bias, shifts[-1], 0, 0)]


def _carry_grid(step: Step, signed: bool) -> Quantization:
    zero_point = 0 if signed else -step.low
    return Quantization(
        1.0, zero_point, _BYTE, signed, step.low + zero_point, step.high + zero_point
    )
