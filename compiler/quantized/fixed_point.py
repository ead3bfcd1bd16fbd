"""TFLite's arithmetic of fixed points, which importers tabulate and the host computes."""

from __future__ import annotations

from tilewright.compiler.ir.arithmetic import IntArray, requantize
from tilewright.compiler.ir.types import FIRST_ROUNDING, make_requantize

__all__ = ["FIRST_ROUNDING", "mean_multiplier", "multiplier_of", "scaled"]

_ENOUGH = 1 << 40


def scaled(x: IntArray, factor: float) -> IntArray:
    """Return ``x * factor`` as TFLite's ``MultiplyByQuantizedMultiplier`` rounds it."""
    scale = make_requantize([factor], 31, 0, -_ENOUGH, _ENOUGH, "double")
    return requantize(x.reshape(1, -1), scale).reshape(x.shape)


def multiplier_of(ratio: float) -> tuple[int, int]:
    """Return multiplier and shift of a factor."""
    whole = make_requantize([ratio], 31, 0, 0, 0, "double")
    return whole.multiplier[0], whole.shift[0]


def mean_multiplier(ratio: float, count: int) -> tuple[int, int]:
    """Return multiplier and shift with which TFLite's mean scales a sum of ``count`` elements.

    The kernel has the multiplier of the scales' ``ratio``, and divides that by the count, towards
    zero; so it may have fewer than 31 bits.
    """
    multiplier, shift = multiplier_of(ratio)
    more = min(count.bit_length() - 1, 2 * FIRST_ROUNDING + 1 - shift)
    return (multiplier << more) // count, shift + more
