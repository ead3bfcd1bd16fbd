"""Operators of graphs that round twice: the integers of TFLite's reference kernels.

Convolutions and rescales need nothing but the rounding of their requantization. Fully connected
layers, average pools and additions each have a scheme of their own in TFLite, which is found again
in what the engine has, and proven for every input that there is.

Source: docs/decisions/0022-tflite.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from tilewright.compiler.ir.arithmetic import IntArray, requantize, weighted_range
from tilewright.compiler.ir.ops import Conv2d, WeightedSum
from tilewright.compiler.ir.types import FIRST_ROUNDING, Requantize, make_requantize
from tilewright.compiler.quantized.fixed_point import mean_multiplier, scaled
from tilewright.compiler.quantized.to_integer.folding import Folded, ratio_or_explain
from tilewright.compiler.quantized.to_integer.values import (
    AddSource,
    ConvSource,
    GateSource,
    LinearSource,
    Pending,
    PoolSource,
    ProductSource,
    Quantized,
    WeightedSource,
)
from tilewright.compiler.quantized.types import Quantization
from tilewright.errors import UnsupportedError

if TYPE_CHECKING:
    from tilewright.compiler.quantized.to_integer.builder import Builder

_LEFT_SHIFT = 20
"""Bits below the point with which TFLite adds."""
_DIGIT = 8
"""Bits of a digit of a factor; each but the last leaves a carry of one byte."""
_DIGITS = {1: 1, 2: 1, 3: 3, 4: 3}
"""Digits to try, and how far from the nearest factors."""
_ENOUGH = 1 << 40


@dataclass(frozen=True)
class Digits:
    """``floor((sum(factor * q) + bias) / 2**(8 * n))`` in n steps, from the lowest digit up.

    Each step adds its digits of the factors and of the bias, and the carry of the one before, and
    divides by 256.

    Parameters
    ----------
    factors : (n, operands)
    biases : (n,)
    """

    factors: IntArray
    biases: tuple[int, ...]


def finish_add(
    builder: Builder, name: str, x: Pending, source: AddSource, grid: Quantization
) -> Quantized:
    """Emit the sums whose result is TFLite's, for every pair of operands that there is.

    Raises
    ------
    UnsupportedError  If no factors are found.
    """
    a, b, sign = source.a, source.b, -1 if source.minus else 1
    if a.type.signed != b.type.signed or max(a.type.bits, b.type.bits) > 8:
        raise UnsupportedError(x.where, "operands of different types", "Use int8 for both.")
    operands = (a,) if a.value == b.value else (a, b)
    # All values of one operand along each axis.
    ranges = [np.arange(v.type.qmin, v.type.qmax + 1, dtype=np.int64) for v in operands]
    points = list(np.meshgrid(*ranges, indexing="ij"))
    wanted = _sum_of_kernel(a, points[0], b, points[-1], sign, grid)
    signs = (1, sign) if len(operands) == 2 else (1 + sign,)
    ratios = [s * v.type.scale / grid.scale for s, v in zip(signs, operands, strict=True)]
    found = find_digits(points, ratios, wanted, grid)
    if found is None:
        raise UnsupportedError(
            x.where,
            "no whole factors give the sums that TFLite's kernel has",
            "Convert the file with other scales, as from other calibration images.",
        )
    zero_points = np.array([v.type.zero_point for v in operands])
    last, carry = len(found.biases) - 1, None
    for step, (factors, bias) in enumerate(zip(found.factors, found.biases, strict=True)):
        names, own = [v.value for v in operands], factors.tolist()
        if carry is not None:  # at either end in turns, so that all can be neighbours on chip
            place = len(names) if (last - step) % 2 == 0 else 0
            names.insert(place, carry.value)
            own.insert(place, 1)
        target = grid if step == last else _carry_grid(grid.scale, last - step)
        # Half up, with half a step less, is down.
        offset = bias + int(factors @ zero_points) - (1 << (_DIGIT - 1))
        own_name = name if step == last else builder.unique(f"{name}.carry{step}")
        op = WeightedSum(
            own_name, tuple(names), own_name, np.array(own), offset,
            _divide(x.shape[0], target),
        )  # fmt: skip
        carry = builder.emit(op, target, x.shape)
    assert carry is not None
    return carry


def _carry_grid(scale: float, above: int) -> Quantization:
    return Quantization(scale * 2.0 ** (-_DIGIT * above), 0, 8, True)


def _divide(channels: int, grid: Quantization) -> Requantize:
    """Return a division by 256, half up."""
    return Requantize(
        (1,) * channels, (_DIGIT,) * channels, grid.zero_point, grid.qmin, grid.qmax, "double"
    )


def _sum_of_kernel(
    a: Quantized, qa: IntArray, b: Quantized, qb: IntArray, sign: int, grid: Quantization
) -> IntArray:
    """Return what TFLite's ``Add`` or ``Sub`` makes of operands, without the zero point."""
    twice_the_larger = 2 * max(a.type.scale, b.type.scale)
    sides = [
        scaled((q - v.type.zero_point) << _LEFT_SHIFT, v.type.scale / twice_the_larger)
        for v, q in ((a, qa), (b, qb))
    ]
    total = scaled(sides[0] + sign * sides[1], twice_the_larger / ((1 << _LEFT_SHIFT) * grid.scale))
    return np.clip(total, grid.qmin - grid.zero_point, grid.qmax - grid.zero_point)


def find_digits(
    points: list[IntArray], ratios: list[float], wanted: IntArray, grid: Quantization
) -> Digits | None:
    """Return digits of factors near ``ratios`` with which every sum is as wanted.

    Parameters
    ----------
    points : every operand's integers, of one shape
    wanted : of that shape, without the zero point, within the grid's range
    """
    low, high = grid.qmin - grid.zero_point, grid.qmax - grid.zero_point
    for digits, near in _DIGITS.items():
        one = 1 << (_DIGIT * digits)
        nearest = [round(ratio * one) for ratio in ratios]
        for steps in _nearby(len(ratios), near):
            factors = [n + s for n, s in zip(nearest, steps, strict=True)]
            total = sum(f * p for f, p in zip(factors, points, strict=True))
            least = (wanted * one - total)[wanted > low].max(initial=-_ENOUGH)
            most = ((wanted + 1) * one - 1 - total)[wanted < high].min(initial=_ENOUGH)
            if least <= most:
                found = _split(factors, int(least + most) // 2, points, digits)
                if found is not None:
                    return found
    return None


def _nearby(count: int, most: int) -> Iterator[tuple[int, ...]]:
    """Yield changes of factors by at most so much each, the smallest first."""
    every = product(range(-most, most + 1), repeat=count)
    yield from sorted(every, key=lambda steps: sum(map(abs, steps)))


def _split(factors: list[int], bias: int, points: list[IntArray], digits: int) -> Digits | None:
    """Cut factors and bias into digits, so that every carry fits a byte; None if one does not."""
    base, half = 1 << _DIGIT, 1 << (_DIGIT - 1)
    rest, rows, biases = np.array(factors), [], []
    carry = np.zeros_like(points[0])
    for step in range(digits):
        row = rest if step == digits - 1 else (rest + half) % base - half
        rest = (rest - row) >> _DIGIT
        own = bias if step == digits - 1 else (bias + half) % base - half
        total = carry + sum(f * p for f, p in zip(row.tolist(), points, strict=True)) + own
        carry = total >> _DIGIT
        if step < digits - 1:
            # Carries may all be moved, where the next digit of the bias takes it back.
            moved = (int(carry.min()) + int(carry.max()) + 1) // 2
            carry, own = carry - moved, own - moved * base
            if carry.min() < -half or carry.max() >= half:
                return None
        bias = (bias - own) >> _DIGIT
        rows.append(row)
        biases.append(own)
    return Digits(np.array(rows), tuple(biases))


def product_factor(source: GateSource | ProductSource, grid: Quantization) -> float:
    """Return the factor of TFLite's ``Mul``, which it computes in float32."""
    a, b = (source.x, source.gate) if isinstance(source, GateSource) else (source.a, source.b)
    return float(np.float32(a.type.scale) * np.float32(b.type.scale) / np.float32(grid.scale))


def finish_pool(
    builder: Builder, name: str, x: Pending, source: PoolSource, grid: Quantization
) -> Quantized:
    """Emit the window sums whose division is TFLite's: of integers, half away from zero.

    Raises
    ------
    UnsupportedError  If the pool has padding, or another grid behind it than before.
    """
    t, area = source.x.type, source.kernel[0] * source.kernel[1]
    if any(source.padding):
        raise UnsupportedError(
            x.where,
            f"an average pool with padding {source.padding}: TFLite divides by the pixels inside",
            "Use padding='valid', or a depthwise convolution.",
        )
    if (t.scale, t.zero_point) != (grid.scale, grid.zero_point):
        raise UnsupportedError(
            x.where,
            "an average pool from one grid to another, which TFLite's kernel has not",
            "Convert the file anew; TFLite's converter gives both one scale and zero point.",
        )
    channels = x.shape[0]
    for factor in (4, 1, 8, 16, 32, 64):
        scale = _mean(channels, factor * area, grid)
        if _divides(scale, factor, area, t.qmin, t.qmax):
            break
    else:
        raise UnsupportedError(
            x.where, f"a mean of {area} pixels", "Use smaller windows, one behind the other."
        )
    weight = np.full((channels, 1, *source.kernel), factor, np.int64)
    # The kernel rounds the mean of integers, zero point included: so here it comes with the bias.
    bias = np.full(channels, factor * area * t.zero_point, np.int64)
    pool = Conv2d(
        name, source.x.value, name, weight, 8, bias, source.stride, source.padding, (1, 1),
        channels, scale,
    )  # fmt: skip
    return builder.emit(pool, grid, x.shape)


def finish_mean(
    builder: Builder, name: str, x: Pending, source: PoolSource, grid: Quantization
) -> Quantized:
    """Emit the window sums whose division is that of TFLite's mean over rows and columns."""
    t, area = source.x.type, source.kernel[0] * source.kernel[1]
    multiplier, shift = mean_multiplier(t.scale / grid.scale, area)
    channels = x.shape[0]
    scale = Requantize(
        (multiplier,) * channels,
        (shift,) * channels,
        grid.zero_point, grid.qmin, grid.qmax, "double",
    )  # fmt: skip
    weight = np.ones((channels, 1, *source.kernel), np.int64)
    pool = Conv2d(
        name, source.x.value, name, weight, 2, np.zeros(channels, np.int64), source.stride,
        source.padding, (1, 1), channels, scale,
    )  # fmt: skip
    return builder.emit(pool, grid, x.shape)


def _mean(channels: int, area: int, grid: Quantization) -> Requantize:
    return make_requantize([1 / area] * channels, 31, 0, grid.qmin, grid.qmax, "double")


def _divides(scale: Requantize, factor: int, area: int, low: int, high: int) -> bool:
    """Whether every sum of ``area`` integers, times ``factor``, is divided as TFLite does."""
    sums = np.arange(area * low, area * high + 1, dtype=np.int64)
    means = np.sign(sums) * ((np.abs(sums) + area // 2) // area)
    one = Requantize(scale.multiplier[:1], scale.shift[:1], 0, low, high, "double")
    return np.array_equal(requantize(factor * sums[None], one)[0], means)


def fold(x: Pending, source: WeightedSource, grid: Quantization) -> Folded:
    """Return the integers of a layer with weights, which are the file's own.

    Raises
    ------
    UnsupportedError
        If sums leave int32 in TFLite's kernel, before or after it shifts them.
    """
    weight = source.weight.integers
    exact = x.offset / x.scale
    bias = np.rint(exact).astype(np.int64)
    low, high = weighted_range(weight, bias, source.x.type)
    factors = [float(scale) / grid.scale for scale in x.scale]
    if isinstance(source, LinearSource) or (isinstance(source, ConvSource) and source.once):
        scale = fully_connected(x.where, factors, low, high, grid)
        left = np.zeros(len(bias), np.int64)
    else:
        scale = scale_by(x.where, factors, grid)
        left = np.maximum(0, FIRST_ROUNDING - np.array(scale.shift))
    reach = np.maximum(np.maximum(-low, high), np.abs(bias)) << np.minimum(left, 31)
    if reach.max() >= 1 << 31:
        k = int(reach.argmax())
        raise UnsupportedError(
            x.where,
            f"the sums of channel {k} can reach {int(low[k])}..{int(high[k])}, times "
            f"{1 << int(left[k])}, beyond int32, where TFLite's kernel is undefined",
            "Convert the file anew, with calibration images like those of use.",
        )
    return Folded(weight, bias, scale, float((np.abs(exact - bias) > 1e-6).max()))


def scale_by(where: str, factors: list[float], grid: Quantization) -> Requantize:
    """Return TFLite's multipliers, which no engine's width changes, with both roundings."""
    ratio = ratio_or_explain(where, factors, grid.zero_point, grid.qmin, grid.qmax)
    return replace(ratio, rounding="double").chosen(31)


def fully_connected(
    where: str, factors: list[float], low: IntArray, high: IntArray, grid: Quantization
) -> Requantize:
    """Return the requantization that is TFLite's of fully connected layers.

    The kernel multiplies the sum by a float64 and rounds half away from zero. Here the factor is a
    multiplier of 31 bits: both are steps, and where each step is, is compared.

    Parameters
    ----------
    factors : (K,) float64
    low, high : (K,), least and greatest sum of each channel

    Raises
    ------
    UnsupportedError  If no multiplier puts every step where the kernel has it.
    """
    nearest = make_requantize(factors, 31, grid.zero_point, grid.qmin, grid.qmax, "half_away")
    multipliers = list(nearest.multiplier)
    for k, factor in enumerate(factors):
        sums = _around_steps(factor, int(low[k]), int(high[k]), grid)
        product = sums * factor
        whole = np.trunc(product)
        away = whole + np.sign(product) * (np.abs(product - whole) >= 0.5)
        wanted = np.clip(away + grid.zero_point, grid.qmin, grid.qmax).astype(np.int64)
        for change in (0, 1, -1, 2, -2, 3, -3, 4, -4):
            one = replace(
                nearest, multiplier=(multipliers[k] + change,), shift=nearest.shift[k : k + 1]
            )
            if np.array_equal(requantize(sums[None], one)[0], wanted):
                multipliers[k] += change
                break
        else:
            raise UnsupportedError(
                where,
                f"channel {k} is scaled by {factor}, which no 31-bit multiplier rounds alike for "
                f"every sum in {int(low[k])}..{int(high[k])}",
                "Convert the file with other scales, as from other calibration images.",
            )
    return replace(nearest, multiplier=tuple(multipliers))


def _around_steps(factor: float, low: int, high: int, grid: Quantization) -> IntArray:
    """Return the sums beside every step of a result, and the ends of their range."""
    steps = np.arange(grid.qmin - grid.zero_point, grid.qmax - grid.zero_point + 2) - 0.5
    near = np.floor(np.clip(steps / factor, -_ENOUGH, _ENOUGH)).astype(np.int64)
    sums = np.concatenate([(near[:, None] + np.arange(-2, 4)).reshape(-1), [low, high]])
    result: IntArray = np.unique(sums[(sums >= low) & (sums <= high)])
    return result
