"""Interval analysis: the values that an accumulator can take, from the actual weights."""

from collections.abc import Mapping

import numpy as np

from tilewright.compiler.ir.ops import (
    Add,
    AvgPool2d,
    Conv2d,
    ConvTranspose2d,
    DeformConv2d,
    Gate,
    IntArray,
    Linear,
    Op,
    Rescale,
    RoundedConv2d,
    UpsampleBilinear,
)
from tilewright.compiler.ir.types import TensorType

#: Operators that sum into an accumulator, which must not overflow.
WITH_ACCUMULATOR: tuple[type[Op], ...] = (
    Conv2d,
    RoundedConv2d,
    DeformConv2d,
    ConvTranspose2d,
    Linear,
    AvgPool2d,
    Add,
    Rescale,
    Gate,
    UpsampleBilinear,
)


def accumulator_range(op: Op, types: Mapping[str, TensorType]) -> tuple[IntArray, IntArray]:
    """Lowest and highest value that enters ``op.requantize``, bias included, per output channel.

    The bound is tight when the inputs of a window can take all values of their type independently.

    Returns
    -------
    lo, hi : (K,) int64

    Raises
    ------
    TypeError  If the operator has no accumulator.
    """
    match op:
        case Conv2d() | DeformConv2d() | Linear():
            return weighted_range(op.weight, op.bias, types[op.input])
        case RoundedConv2d():
            return _tiles_range(op, types[op.input])
        case ConvTranspose2d():
            return _transposed_range(op, types[op.input])
        case AvgPool2d():
            t = types[op.input]
            area = op.kernel[0] * op.kernel[1]
            lo, hi = area * (t.qmin - t.zero_point), area * (t.qmax - t.zero_point)
        case UpsampleBilinear():
            t = types[op.input]
            units = 4 * op.factor[0] * op.factor[1]
            lo, hi = units * (t.qmin - t.zero_point), units * (t.qmax - t.zero_point)
        case Rescale():
            t = types[op.input]
            lo, hi = t.qmin - t.zero_point, t.qmax - t.zero_point
        case Gate():
            x, gate = types[op.input], types[op.gate]
            corners = [
                (a - x.zero_point) * (b - gate.zero_point)
                for a in (x.qmin, x.qmax)
                for b in (gate.qmin, gate.qmax)
            ]
            lo, hi = min(corners), max(corners)
        case Add():
            operands = (op.requantize_a, op.requantize_b)
            lo = sum(r.qmin - r.zero_point for r in operands)
            hi = sum(r.qmax - r.zero_point for r in operands)
        case _:
            raise TypeError(f"{op.kind} {op.name} has no accumulator")
    channels = op.requantize.channels
    return np.full(channels, lo, np.int64), np.full(channels, hi, np.int64)


def weighted_range(
    weight: IntArray, bias: IntArray, input_type: TensorType
) -> tuple[IntArray, IntArray]:
    """Range of ``sum(w * (q - zero_point)) + bias`` per output channel.

    Parameters
    ----------
    weight : (K, ...)
    bias : (K,)
    """
    flat = weight.reshape(weight.shape[0], -1)
    positive = np.maximum(flat, 0).sum(axis=1)
    negative = np.minimum(flat, 0).sum(axis=1)
    low = input_type.qmin - input_type.zero_point
    high = input_type.qmax - input_type.zero_point
    return positive * low + negative * high + bias, positive * high + negative * low + bias


def _tiles_range(op: RoundedConv2d, input_type: TensorType) -> tuple[IntArray, IntArray]:
    """Range over all places in a tile: each is a kernel of its own, over the whole tile."""
    terms, channels, per_group = op.kernels.shape
    # float64 is exact: kernels have 16 bits, and the other factors are small.
    flat = op.kernels.reshape(terms, -1).astype(np.float64)
    lows, highs = [], []
    for place in op.output_factors.reshape(terms, -1).T:
        factors = (op.data_factors * place[:, None, None]).reshape(terms, -1).T
        kernel = (factors @ flat).astype(np.int64).reshape(-1, channels, per_group)
        low, high = weighted_range(kernel.transpose(1, 2, 0), op.bias, input_type)
        lows.append(low)
        highs.append(high)
    return np.minimum.reduce(lows), np.maximum.reduce(highs)


def _transposed_range(op: ConvTranspose2d, input_type: TensorType) -> tuple[IntArray, IntArray]:
    """Range over all phases: neighbouring positions meet every ``stride``-th tap."""
    lows, highs = [op.bias], [op.bias]
    for i in range(op.stride[0]):
        for j in range(op.stride[1]):
            taps = op.weight[:, :, i :: op.stride[0], j :: op.stride[1]]
            low, high = weighted_range(taps, op.bias, input_type)
            lows.append(low)
            highs.append(high)
    return np.minimum.reduce(lows), np.maximum.reduce(highs)


def accumulator_bits(op: Op, types: Mapping[str, TensorType]) -> int:
    """Two's complement bits that hold every value of :func:`accumulator_range`."""
    lo, hi = accumulator_range(op, types)
    low, high = int(lo.min()), int(hi.max())
    return 1 + max(high.bit_length() if high > 0 else 0, (-low - 1).bit_length() if low < 0 else 0)
