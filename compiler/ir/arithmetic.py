"""Integer arithmetic that operators share: requantization, windows, and ranges of sums."""

from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from tilewright.compiler.ir.types import FIRST_ROUNDING, Ratio, Requantize, TensorType, VerifyError

IntArray: TypeAlias = npt.NDArray[np.int64]
Integers: TypeAlias = npt.NDArray[np.signedinteger[Any]]
"""Weights, mostly of 8 bits: what is computed from them must be widened first."""
T = TypeVar("T", bound="np.generic[Any]")

_LOW = 16  # low bits of M that are multiplied apart, so that no product overflows int64


def requantize(acc: IntArray, r: Requantize, once: npt.NDArray[np.bool_] | None = None) -> IntArray:
    """Scale, round, add the zero point and clamp.

    Parameters
    ----------
    acc : (C, ...) int64, absolute values below 2**33
    r : Requantize of C channels
    once : (C,), of "double": channels that are rounded "half_away" all the same; None: none is

    Returns
    -------
    (C, ...) int64 in ``r.qmin..r.qmax``

    Source
    ------
    docs/decisions/0001-rounding.md

    Raises
    ------
    VerifyError  If multipliers are not chosen yet.
    """
    if isinstance(r, Ratio):
        raise VerifyError("multipliers are not chosen yet: choose_multipliers(graph, width)")
    acc = np.asarray(acc, dtype=np.int64)
    column = (-1,) + (1,) * (acc.ndim - 1)
    m = np.array(r.multiplier, np.int64).reshape(column)
    s = np.array(r.shift, np.int64).reshape(column)
    mask = np.array([(1 << v) - 1 for v in r.shift], np.int64).reshape(column)
    high_mask = np.array([(1 << max(v - _LOW, 0)) - 1 for v in r.shift], np.int64).reshape(column)
    half = np.array([1 << max(v - 1, 0) for v in r.shift], np.int64).reshape(column)

    # acc * M = high * 2**16 + low exactly, with low in 0..2**16 - 1.
    partial = acc * (m & ((1 << _LOW) - 1))
    high = acc * (m >> _LOW) + (partial >> _LOW)
    low = partial & ((1 << _LOW) - 1)
    # floor(acc * M / 2**S); beyond 2**32 it saturates anyway, so clipping there is harmless.
    whole = np.clip(high >> np.maximum(s - _LOW, 0), -(1 << 32), 1 << 32)
    floor = (whole << np.maximum(_LOW - s, 0)) + (low >> np.minimum(s, _LOW))
    rest = (((high & high_mask) << _LOW) | low) & mask
    if r.rounding == "half_even":
        up = (rest > half) | ((rest == half) & ((floor & 1) == 1))
        rounded = floor + up
    else:
        away = np.full(r.channels, r.rounding == "half_away") if once is None else once
        up = (rest > half) | ((rest == half) & (floor >= 0))
        half_up = floor + ((rest >= half) & (s > 0))
        twice = np.where(s >= FIRST_ROUNDING, _twice(high, s), half_up)
        rounded = np.where(away.reshape(column), floor + (up & (s > 0)), twice)
    result: IntArray = np.clip(rounded + r.zero_point, r.qmin, r.qmax)
    return result


def _twice(high: IntArray, shift: IntArray) -> IntArray:
    """Round ``high * 2**_LOW`` at bit 31, half up, and the rest of a shift, half away from zero."""
    once = (high + (1 << (FIRST_ROUNDING - _LOW - 1))) >> (FIRST_ROUNDING - _LOW)
    more = np.maximum(shift - FIRST_ROUNDING, 0)
    rest = once & ((1 << more) - 1)
    result: IntArray = (once >> more) + (rest > (((1 << more) - 1) >> 1) + (once < 0))
    return result


def pad(x: IntArray, padding: tuple[int, int, int, int], value: int) -> IntArray:
    """Return x (C, H, W) with (top, bottom, left, right) rows and columns of a value around it."""
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=value)


def window(
    x: npt.NDArray[T], origin: tuple[int, int], stride: tuple[int, int], shape: tuple[int, int]
) -> npt.NDArray[T]:
    """Return the pixels of x (C, H, W) under one tap at all places of a window, as a view."""
    (top, left), (rows, columns) = origin, shape
    return x[
        :,
        top : top + (rows - 1) * stride[0] + 1 : stride[0],
        left : left + (columns - 1) * stride[1] + 1 : stride[1],
    ]


def sums_by_sign(weight: Integers) -> tuple[IntArray, IntArray]:
    """Return the sums (K,) of positive and of negative weights (K, ...)."""
    flat = weight.reshape(weight.shape[0], -1)
    positive = np.maximum(flat, 0).sum(axis=1, dtype=np.int64)
    return positive, np.minimum(flat, 0).sum(axis=1, dtype=np.int64)


def fits_float64(weight: Integers, x: IntArray) -> bool:
    """Return whether products of (K, ...) weights with x are exact in float64: 53 bits."""
    positive, negative = sums_by_sign(weight)
    most = int((positive - negative).max())
    return most * int(np.abs(x).max()) < 1 << 53


def weighted_range(
    weight: Integers, bias: IntArray, input_type: TensorType
) -> tuple[IntArray, IntArray]:
    """Range of ``sum(w * (q - zero_point)) + bias`` per output channel.

    Parameters
    ----------
    weight : (K, ...)
    bias : (K,)
    """
    positive, negative = sums_by_sign(weight)
    low = input_type.qmin - input_type.zero_point
    high = input_type.qmax - input_type.zero_point
    return positive * low + negative * high + bias, positive * high + negative * low + bias
