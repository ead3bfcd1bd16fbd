"""What the operators mean, in NumPy: the numbers that every executor must reproduce exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from tilewright.compiler.ir import deformable
from tilewright.compiler.ir.graph import Graph
from tilewright.compiler.ir.ops import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DeformConv2d,
    Gate,
    Input,
    IntArray,
    Linear,
    Lookup,
    MaxPool2d,
    Output,
    Padding,
    Pair,
    PixelShuffle,
    PixelUnshuffle,
    Rescale,
    RoundedConv2d,
    SelectChannels,
    Upsample,
    UpsampleBilinear,
)
from tilewright.compiler.ir.shapes import transposed_shape, window_shape
from tilewright.compiler.ir.types import Requantize, TensorType
from tilewright.errors import Error

Types: TypeAlias = Mapping[str, TensorType]

_LOW = 16  # low bits of M that are multiplied apart, so that no product overflows int64


def requantize(acc: IntArray, r: Requantize) -> IntArray:
    """Scale, round to nearest even, add the zero point and clamp.

    Parameters
    ----------
    acc : (C, ...) int64, absolute values below 2**33
    r : Requantize of C channels

    Returns
    -------
    (C, ...) int64 in ``r.qmin..r.qmax``

    Source
    ------
    docs/decisions/0001-rounding.md
    """
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
    up = (rest > half) | ((rest == half) & ((floor & 1) == 1))
    result: IntArray = np.clip(floor + up + r.zero_point, r.qmin, r.qmax)
    return result


def conv2d(op: Conv2d, x: IntArray, x_type: TensorType) -> IntArray:
    """Direct convolution of x (C, H, W); returns (K, H', W')."""
    return requantize(conv2d_accumulator(op, x, x_type), op.requantize)


def conv2d_accumulator(op: Conv2d, x: IntArray, x_type: TensorType) -> IntArray:
    """Accumulator of :func:`conv2d`, bias included, before requantization."""
    k, c, r, s = op.weight.shape
    g = op.groups
    rows, columns = window_shape(x_type.shape[1:], (r, s), op.stride, op.padding, op.dilation)
    padded = _pad(x - x_type.zero_point, op.padding, 0)
    # float64 matrix products are quick and exact as long as no sum leaves 53 bits.
    dtype = np.float64 if _fits_float64(op.weight, padded) else np.int64
    padded = padded.astype(dtype)
    weight = op.weight.reshape(g, k // g, c, r, s).astype(dtype)
    acc = np.zeros((g, k // g, rows * columns), dtype)
    for i in range(r):
        for j in range(s):
            origin = (i * op.dilation[0], j * op.dilation[1])
            taps = _window(padded, origin, op.stride, (rows, columns))
            acc += weight[:, :, :, i, j] @ taps.reshape(g, c, rows * columns)
    result: IntArray = acc.astype(np.int64).reshape(k, rows, columns)
    return result + op.bias[:, None, None]


def deform_conv2d(op: DeformConv2d, values: Mapping[str, IntArray], types: Types) -> IntArray:
    """Deformable convolution of values by name; returns (K, H', W')."""
    mask, mask_type = (None, None) if op.mask is None else (values[op.mask], types[op.mask])
    x_type = types[op.input]
    acc, scale = deformable.sample(
        op, values[op.input], values[op.offset], mask, x_type, types[op.offset], mask_type
    )
    samples = requantize(acc, scale)
    # What is left is a convolution whose windows lie side by side.
    conv = Conv2d(
        op.name, op.input, op.output, op.weight, op.weight_bits, op.bias,
        op.kernel, (0, 0, 0, 0), (1, 1), op.groups, op.requantize,
    )  # fmt: skip
    return conv2d(conv, samples, replace(x_type, shape=samples.shape))


def rounded_conv2d(op: RoundedConv2d, x: IntArray, x_type: TensorType) -> IntArray:
    """Convolution of x (C, H, W) in tiles, with rounded kernels; returns (K, H', W')."""
    return requantize(rounded_conv2d_accumulator(op, x, x_type), op.requantize)


def rounded_conv2d_accumulator(op: RoundedConv2d, x: IntArray, x_type: TensorType) -> IntArray:
    """Accumulator of :func:`rounded_conv2d`, bias included, before requantization."""
    _, k, c = op.kernels.shape
    g, (_, height, width) = op.groups, x.shape
    rows, columns = window_shape((height, width), op.kernel, op.stride, op.padding)
    tiles = -(-rows // op.m[0]), -(-columns // op.m[1])
    step = op.m[0] * op.stride[0], op.m[1] * op.stride[1]
    # The last tiles may reach beyond the padding, or beyond rows that no window reaches.
    top, _, left, _ = op.padding
    bottom, right = (
        max(0, (count - 1) * distance + reach - before - size)
        for count, distance, reach, before, size in zip(
            tiles, step, op.data_factors.shape[1:], (top, left), (height, width), strict=True
        )
    )
    padded = _pad(x - x_type.zero_point, (top, bottom, left, right), 0)
    acc = np.zeros((k, tiles[0] * op.m[0], tiles[1] * op.m[1]), np.int64)
    for kernels, data, output in zip(op.kernels, op.data_factors, op.output_factors, strict=True):
        windows = np.zeros((x.shape[0], *tiles), np.int64)
        for u, v in np.argwhere(data):
            windows += data[u, v] * _window(padded, (u, v), step, tiles)
        # float64 matrix products are quick and exact as long as no sum leaves 53 bits.
        dtype = np.float64 if _fits_float64(kernels, windows) else np.int64
        factors = kernels.reshape(g, k // g, c).astype(dtype)
        sums = factors @ windows.reshape(g, c, -1).astype(dtype)
        term = sums.astype(np.int64).reshape(k, *tiles)
        for i, j in np.argwhere(output):
            acc[:, i :: op.m[0], j :: op.m[1]] += output[i, j] * term
    result: IntArray = acc[:, :rows, :columns] + op.bias[:, None, None]
    return result


def conv_transpose2d(op: ConvTranspose2d, x: IntArray, x_type: TensorType) -> IntArray:
    """Transposed convolution of x (C, H, W); returns (K, H', W')."""
    return requantize(conv_transpose2d_accumulator(op, x, x_type), op.requantize)


def conv_transpose2d_accumulator(op: ConvTranspose2d, x: IntArray, x_type: TensorType) -> IntArray:
    """Accumulator of :func:`conv_transpose2d`, bias included, before requantization."""
    k, c, r, s = op.weight.shape
    (_, h, w), g = x.shape, op.groups
    (top, _, left, _), (below, beside) = op.padding, op.output_padding
    rows, columns = transposed_shape((h, w), (r, s), op.stride, op.padding, op.output_padding)
    real = (x - x_type.zero_point).reshape(g, c, h * w)
    dtype = np.float64 if _fits_float64(op.weight, real) else np.int64
    real, weight = real.astype(dtype), op.weight.reshape(g, k // g, c, r, s).astype(dtype)
    # Every element adds a kernel to a canvas, from which padding is cut off.
    canvas = np.zeros(
        (k, (h - 1) * op.stride[0] + r + below, (w - 1) * op.stride[1] + s + beside), dtype
    )
    for i in range(r):
        for j in range(s):
            taps = (weight[:, :, :, i, j] @ real).reshape(k, h, w)
            window = _window(canvas, (i, j), op.stride, (h, w))
            np.add(window, taps, out=window)
    result: IntArray = canvas[:, top : top + rows, left : left + columns].astype(np.int64)
    return result + op.bias[:, None, None]


def linear(op: Linear, x: IntArray, x_type: TensorType) -> IntArray:
    """Matrix-vector product with the flattened x (C, H, W); returns (K, 1, 1)."""
    acc = op.weight @ (x - x_type.zero_point).reshape(-1) + op.bias
    return requantize(acc[:, None, None], op.requantize)


def max_pool2d(op: MaxPool2d, x: IntArray, x_type: TensorType) -> IntArray:
    """Maximum over windows of x (C, H, W)."""
    shape = window_shape(x_type.shape[1:], op.kernel, op.stride, op.padding, op.dilation)
    padded = _pad(x, op.padding, x_type.qmin)
    result = np.full((x_type.shape[0], *shape), x_type.qmin, np.int64)
    for i in range(op.kernel[0]):
        for j in range(op.kernel[1]):
            origin = (i * op.dilation[0], j * op.dilation[1])
            np.maximum(result, _window(padded, origin, op.stride, shape), out=result)
    return result


def avg_pool2d(op: AvgPool2d, x: IntArray, x_type: TensorType) -> IntArray:
    """Exact window sums of x (C, H, W), requantized once."""
    shape = window_shape(x_type.shape[1:], op.kernel, op.stride, op.padding)
    padded = _pad(x - x_type.zero_point, op.padding, 0)
    acc = np.zeros((x_type.shape[0], *shape), np.int64)
    for i in range(op.kernel[0]):
        for j in range(op.kernel[1]):
            acc += _window(padded, (i, j), op.stride, shape)
    return requantize(acc, op.requantize)


def add(op: Add, a: IntArray, b: IntArray, a_type: TensorType, b_type: TensorType) -> IntArray:
    """Sum of a and b (C, H, W) on the shared scale, requantized."""
    shared_a = requantize(a - a_type.zero_point, op.requantize_a) - op.requantize_a.zero_point
    shared_b = requantize(b - b_type.zero_point, op.requantize_b) - op.requantize_b.zero_point
    return requantize(shared_a + shared_b, op.requantize)


def rescale(op: Rescale, x: IntArray, x_type: TensorType) -> IntArray:
    """Put x (C, H, W) on another grid."""
    return requantize(x - x_type.zero_point, op.requantize)


def upsample_bilinear(op: UpsampleBilinear, x: IntArray, x_type: TensorType) -> IntArray:
    """Interpolate x (C, H, W) in integers, requantized once."""
    acc = x - x_type.zero_point
    for axis, factor in zip((1, 2), op.factor, strict=True):
        place = np.arange(acc.shape[axis] * factor)
        beyond = 2 * (place % factor) + 1 - factor  # of the pixel, in units of 1 / 2 factor
        low = place // factor - (beyond < 0)
        part = np.where(beyond < 0, 2 * factor + beyond, beyond)  # of the pixel after it
        last = acc.shape[axis] - 1
        part = part.reshape([-1 if i == axis else 1 for i in range(3)])
        below = np.take(acc, low.clip(0, last), axis)
        above = np.take(acc, (low + 1).clip(0, last), axis)
        acc = below * (2 * factor - part) + above * part
    return requantize(acc, op.requantize)


def upsample(op: Upsample, x: IntArray) -> IntArray:
    """Repeat every pixel of x (C, H, W)."""
    return np.repeat(np.repeat(x, op.factor[0], axis=1), op.factor[1], axis=2)


def pixel_shuffle(op: PixelShuffle, x: IntArray) -> IntArray:
    """Turn x (C * r * r, H, W) into (C, H * r, W * r)."""
    (_, h, w), r = x.shape, op.factor
    blocks = x.reshape(-1, r, r, h, w).transpose(0, 3, 1, 4, 2)
    return blocks.reshape(-1, h * r, w * r)


def pixel_unshuffle(op: PixelUnshuffle, x: IntArray) -> IntArray:
    """Turn x (C, H * r, W * r) into (C * r * r, H, W)."""
    (_, h, w), r = x.shape, op.factor
    blocks = x.reshape(-1, h // r, r, w // r, r).transpose(0, 2, 4, 1, 3)
    return blocks.reshape(-1, h // r, w // r)


def run(graph: Graph, inputs: Sequence[IntArray]) -> dict[str, IntArray]:
    """Execute ``graph`` on one image.

    Parameters
    ----------
    graph : Graph, verified
    inputs : one integer array (C, H, W) per Input operator, in their order

    Returns
    -------
    Every value of the graph by name, intermediates included, as (C, H, W) int64.

    Raises
    ------
    Error  If an input's count, shape, dtype or range differs from the graph's.
    """
    types = graph.values
    if len(inputs) != len(graph.inputs):
        raise Error(f"{graph.name} takes {len(graph.inputs)} inputs, not {len(inputs)}")
    values: dict[str, IntArray] = {}
    for source, array in zip(graph.inputs, inputs, strict=True):
        values[source.output] = _checked(source, np.asarray(array), types[source.output])
    for op in graph.ops:
        match op:
            case Input() | Output():
                continue
            case Conv2d():
                result = conv2d(op, values[op.input], types[op.input])
            case DeformConv2d():
                result = deform_conv2d(op, values, types)
            case RoundedConv2d():
                result = rounded_conv2d(op, values[op.input], types[op.input])
            case ConvTranspose2d():
                result = conv_transpose2d(op, values[op.input], types[op.input])
            case Linear():
                result = linear(op, values[op.input], types[op.input])
            case MaxPool2d():
                result = max_pool2d(op, values[op.input], types[op.input])
            case AvgPool2d():
                result = avg_pool2d(op, values[op.input], types[op.input])
            case Rescale():
                result = rescale(op, values[op.input], types[op.input])
            case Gate():
                x, gate = values[op.input], values[op.gate]
                zero, gate_zero = types[op.input].zero_point, types[op.gate].zero_point
                result = requantize((x - zero) * (gate - gate_zero), op.requantize)
            case Lookup():
                result = op.table[values[op.input] - types[op.input].qmin]
            case Add():
                a, b = op.input_a, op.input_b
                result = add(op, values[a], values[b], types[a], types[b])
            case Concat():
                result = np.concatenate([values[v] for v in op.sources])
            case SelectChannels():
                result = values[op.input][op.channels]
            case UpsampleBilinear():
                result = upsample_bilinear(op, values[op.input], types[op.input])
            case Upsample():
                result = upsample(op, values[op.input])
            case PixelShuffle():
                result = pixel_shuffle(op, values[op.input])
            case PixelUnshuffle():
                result = pixel_unshuffle(op, values[op.input])
            case _:
                raise TypeError(f"{op.name}: no reference for {op.kind}")
        values[op.outputs[0]] = result
    return values


def _checked(op: Input, array: IntArray, t: TensorType) -> IntArray:
    if array.shape != t.shape:
        raise Error(f"{op.name}: the input must have shape {t.shape}, not {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise Error(f"{op.name}: the input must be integers, not {array.dtype}")
    low, high = int(array.min()), int(array.max())
    if low < t.qmin or high > t.qmax:
        raise Error(f"{op.name}: the input must be in {t.qmin}..{t.qmax}, not {low}..{high}")
    return array.astype(np.int64)


def _pad(x: IntArray, padding: Padding, value: int) -> IntArray:
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=value)


def _window(x: IntArray, origin: Pair, stride: Pair, shape: Pair) -> IntArray:
    (top, left), (rows, columns) = origin, shape
    return x[
        :,
        top : top + (rows - 1) * stride[0] + 1 : stride[0],
        left : left + (columns - 1) * stride[1] + 1 : stride[1],
    ]


def _fits_float64(weight: IntArray, x: IntArray) -> bool:
    most = int(np.abs(weight).reshape(weight.shape[0], -1).sum(axis=1).max())
    return most * int(np.abs(x).max()) < 1 << 53
