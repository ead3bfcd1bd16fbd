"""Folds per-channel scale and offset of an accumulator into integers, bias and factors."""

import math
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.ir.arithmetic import IntArray, weighted_range
from tilewright.compiler.ir.types import Ratio, Requantize, TensorType
from tilewright.compiler.quantized.to_integer.values import FloatArray, Weight
from tilewright.compiler.quantized.types import Quantization
from tilewright.errors import UnsupportedError

_ON_GRID = 2.0**-12  # of an accumulator step: float64 noise and more, but no visible bias
_HALF_STEP = 0.5  # of the result: what rounding a bias may cost
_LIMIT = 1 << 31


@dataclass(frozen=True)
class Folded:
    """Integers of a convolution or linear layer after folding.

    Parameters
    ----------
    weight : (K, ...), channels with a negative factor negated
    bias : (K,)
    requantize : Ratio, or Requantize where multipliers are chosen already
    bias_error : float, largest error that rounding the bias makes, in output LSB before rounding
    """

    weight: IntArray
    bias: IntArray
    requantize: Requantize
    bias_error: float


def fold(
    where: str,
    weight: Weight,
    scale: FloatArray,
    offset: FloatArray,
    rounds: bool,
    input_type: TensorType,
    grid: Quantization,
) -> Folded:
    """Express ``round((scale * acc + offset) / grid.scale)`` with integers.

    A negative scale negates the channel's weights; a zero scale, or an offset that drowns the
    accumulator, makes the channel a constant. See docs/decisions/0001-rounding.md.

    Raises
    ------
    UnsupportedError  If the offset is off the accumulator's grid and may not be rounded, if
    rounding could cost more than one LSB, or if a factor is not positive.
    """
    integers, bias = weight.integers.copy(), np.zeros(len(scale), np.int64)
    factors, worst = [], 0.0
    for k in range(len(scale)):
        step, shift = float(scale[k]), float(offset[k])
        if not (math.isfinite(step) and math.isfinite(shift)):
            raise UnsupportedError(
                where,
                f"channel {k} has the scale {step} and the bias {shift}",
                "Check bias and batch norm parameters for NaN or infinity.",
            )
        if step < 0:
            integers[k] = -integers[k]
        step = abs(step)
        factor = step / grid.scale
        exact = shift / step if step > 0 else math.inf
        low, high = (int(v[0]) for v in _range(integers[k : k + 1], input_type))
        reach = max(-low, high)
        if step > 0 and reach >= _LIMIT:
            raise UnsupportedError(
                where,
                f"the accumulator of channel {k} can reach {low}..{high}, beyond int32",
                "Use fewer bits for weights or input activations, or split the layer and add.",
            )
        if abs(exact) + reach >= _LIMIT - 1:
            integers[k], factor = 0, 1.0
            bias[k], error = _constant(where, k, step, shift, low, high, grid)
            worst = max(worst, error)
        else:
            bias[k] = round(exact)
            distance = float(abs(exact - bias[k]))
            if distance > _ON_GRID:
                _check_rounding(where, k, distance, factor, rounds)
                worst = max(worst, distance * factor)
        factors.append(factor)
    limit = 1 << (weight.bits - 1)
    if int(integers.max()) >= limit:
        raise UnsupportedError(
            where,
            f"batch norm negates a weight of -{limit}",
            "Use a narrow-range weight quantizer (narrow_range=True).",
        )
    return _requantized(where, integers, bias, factors, grid, worst)


def ratio_or_explain(
    where: str, factors: list[float], zero_point: int, qmin: int, qmax: int
) -> Ratio:
    """As :meth:`Ratio.of`, with an error that names the layer."""
    if min(factors) <= 0 or not all(map(math.isfinite, factors)):
        raise UnsupportedError(
            where,
            f"an output scale that is {max(factors):g} times finer than the accumulator's",
            "Use a coarser output scale, or calibrate it on representative data.",
        )
    return Ratio.of(factors, zero_point, qmin, qmax)


def _requantized(
    where: str,
    weight: IntArray,
    bias: IntArray,
    factors: list[float],
    grid: Quantization,
    error: float,
) -> Folded:
    zero_point = grid.zero_point
    # Brevitas rounds x / scale + zero_point, so an odd zero point flips which way ties go. Where
    # ties happen (powers of two), one output step moves from the zero point into the bias.
    if zero_point % 2 and all(f <= 1 and math.frexp(f)[0] == 0.5 for f in factors):
        steps = [1 / f for f in factors]
        if all(s + abs(int(b)) < _LIMIT for s, b in zip(steps, bias, strict=True)):
            bias = bias + np.array([int(s) for s in steps], np.int64)
            zero_point -= 1
    r = ratio_or_explain(where, factors, zero_point, grid.qmin, grid.qmax)
    return Folded(weight, bias, r, error)


def _range(weight: IntArray, input_type: TensorType) -> tuple[IntArray, IntArray]:
    return weighted_range(weight, np.zeros(len(weight), np.int64), input_type)


def _check_rounding(where: str, k: int, distance: float, factor: float, rounds: bool) -> None:
    if not rounds:
        raise UnsupportedError(
            where,
            f"the bias of channel {k} is {distance:.3g} steps off the accumulator's grid",
            "Use bias_quant=Int32Bias, or compile with round_bias=True (costs at most one LSB).",
        )
    if factor * distance > _HALF_STEP:
        raise UnsupportedError(
            where,
            f"channel {k} has output steps {factor:.3g} times finer than the accumulator's, "
            "so rounding its bias could cost more than one LSB",
            "Use more weight bits, a coarser output scale, or bias_quant=Int32Bias without "
            "batch norm.",
        )


def _constant(
    where: str, k: int, step: float, shift: float, low: int, high: int, grid: Quantization
) -> tuple[int, float]:
    """Bias in output steps of a channel whose accumulator moves its output by at most one LSB."""
    ends = [(step * acc + shift) / grid.scale + grid.zero_point for acc in (low, 0, high)]
    reached = [min(max(round(e), grid.qmin), grid.qmax) for e in ends]
    if reached[2] - reached[0] > 1:
        raise UnsupportedError(
            where,
            f"the bias of channel {k} is {shift / step if step else math.inf:.3g} accumulator "
            "steps, beyond int32",
            "Bound the ratio of batch norm's bias to its weight, or use more weight bits.",
        )
    # Every int32 accumulator is multiplied by one here, so any value beyond the range saturates.
    span = 1 << 20
    bias = int(min(max(round(ends[1]) - grid.zero_point, -span), span))
    return bias, 0.0 if reached[0] == reached[2] else 1.0
