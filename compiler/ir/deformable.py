"""Deformable sampling in integers; docs/deformable.md derives it and bounds its error."""

from __future__ import annotations

import math

import numpy as np

from tilewright.compiler.ir.ops import DeformConv2d, IntArray
from tilewright.compiler.ir.shapes import window_shape
from tilewright.compiler.ir.types import Requantize, TensorType

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


def sample(
    op: DeformConv2d,
    x: IntArray,
    offset: IntArray,
    mask: IntArray | None,
    x_type: TensorType,
    offset_type: TensorType,
    mask_type: TensorType | None,
) -> tuple[IntArray, Requantize]:
    """Interpolate x (C, H, W) under every tap, before the one rounding.

    Returns
    -------
    (C, H' * R, W' * S) samples, a block of R x S for each position, in units of the returned
    requantization, which rounds them and gives them the type of x.
    """
    (channels, height, width), (r, s) = x.shape, op.kernel
    rows, columns = window_shape((height, width), (r, s), op.stride, op.padding, op.dilation)
    f = fraction_bits(offset_type)
    assert f is not None
    groups, one = op.offset_groups, 1 << f
    shift = offset.reshape(groups, r, s, 2, rows, columns)
    top, left = op.padding[0], op.padding[2]
    place_y = np.arange(rows)[:, None] * op.stride[0] - top
    place_y = place_y + np.arange(r)[:, None, None, None] * op.dilation[0]
    place_x = np.arange(columns) * op.stride[1] - left
    place_x = place_x + np.arange(s)[:, None, None] * op.dilation[1]
    y = (place_y << f) + shift[:, :, :, 0]
    z = (place_x << f) + shift[:, :, :, 1]
    real = (x - x_type.zero_point).reshape(groups, -1, height, width)
    acc = np.zeros((groups, channels // groups, r, s, rows, columns), np.int64)
    group = np.arange(groups).reshape(-1, 1, 1, 1, 1)
    for down in (0, 1):
        for right in (0, 1):
            row, column = (y >> f) + down, (z >> f) + right
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            weight = np.where(down, y & (one - 1), one - (y & (one - 1)))
            weight = weight * np.where(right, z & (one - 1), one - (z & (one - 1))) * inside
            corner = real[group, :, row * inside, column * inside]
            acc += np.moveaxis(corner * weight[..., None], -1, 1)
    bits = 2 * f
    if mask is not None:
        assert mask_type is not None
        m = fraction_bits(mask_type, 1)
        assert m is not None
        acc *= mask.reshape(groups, 1, r, s, rows, columns)
        bits += m
    samples = acc.transpose(0, 1, 4, 2, 5, 3).reshape(channels, rows * r, columns * s)
    scale = Requantize((1,), (bits,), x_type.zero_point, x_type.qmin, x_type.qmax)
    return samples, scale
