"""Positions between pixels, in integers; docs/deformable.md derives it and bounds its error."""

from __future__ import annotations

import math

from tilewright.compiler.ir.types import TensorType

MAX_FRACTION_BITS = 8


def fraction_bits(t: TensorType, least: int = 0) -> int | None:
    """Return f where the scale is ``2**-f`` with f in ``least..8``, else None."""
    mantissa, exponent = math.frexp(t.scale)
    bits = 1 - exponent
    return bits if mantissa == 0.5 and least <= bits <= MAX_FRACTION_BITS else None


def reach(offset_range: tuple[int, int], bits: int, first: int, last: int) -> tuple[int, int]:
    """Return the pixels that samples can touch along one axis, as (first, end).

    Parameters
    ----------
    offset_range : lowest and highest offset, in units of ``2**-bits`` pixels
    first, last : pixels under the first and the last tap when offsets are zero
    """
    low, high = offset_range
    return first + (low >> bits), last - (-high >> bits) + 1
