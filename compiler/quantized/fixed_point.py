"""TFLite's arithmetic of fixed points, which importers tabulate and the host computes."""

from __future__ import annotations

from tilewright.compiler.ir.arithmetic import IntArray, requantize
from tilewright.compiler.ir.types import FIRST_ROUNDING, make_requantize

__all__ = ["FIRST_ROUNDING", "inverse_root", "mean_multiplier", "multiplier_of", "scaled"]

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


def inverse_root(x: int, bits: int) -> int:
    """Return ``2**bits / sqrt(x)`` as TFLite's ``GetInvSqrtQuantizedMultiplierExp`` has it.

    Five steps of Newton's from one, with 28 bits below the point, are a little too few, which
    results show.

    Parameters
    ----------
    x : int, 1..2**27 - 1
    """
    if x == 1:
        return 1 << bits
    pairs = (31 - x.bit_length()) // 2 - 1
    half_x = _halved((x << (2 * pairs)) >> 1)
    root = 1 << 28
    for _ in range(5):
        cube = _product(_product(root, root), root) << 6
        root = (_product(3 << 27, root) - _product(half_x, cube)) << 3
    mantissa, shift = _product(root, 1518500250), pairs - 11 + bits
    value = _product(1 << max(0, shift), mantissa)
    return value >> -shift if shift < 0 else value


def _product(a: int, b: int) -> int:
    """Return ``a * b / 2**31``, rounded half up, of what is not negative."""
    return (a * b + (1 << 30)) >> 31


def _halved(x: int) -> int:
    return (x + 1) >> 1
