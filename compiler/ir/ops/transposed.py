# ruff: noqa: D401 - docstrings of rules state them to the user
"""Transposed convolution."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir import rules
from tilewright.compiler.ir.arithmetic import (
    IntArray,
    Integers,
    fits_float64,
    weighted_range,
    window,
)
from tilewright.compiler.ir.op import (
    Biased,
    Padding,
    Pair,
    Rule,
    Shape,
    Types,
    Unary,
    Values,
)
from tilewright.compiler.ir.rules import rule
from tilewright.compiler.ir.shapes import transposed_shape
from tilewright.compiler.ir.types import Requantize


@rule("padding")
def _cut_inside_kernel(op: "ConvTranspose2d", types: Types) -> str | None:
    """Padding is less than the kernel, so that every input element counts."""
    limit = [op.kernel[0]] * 2 + [op.kernel[1]] * 2
    if any(p >= m for p, m in zip(op.padding, limit, strict=True)):
        return f"padding {op.padding} with kernel {op.kernel}"
    return None


@rule("output_padding")
def _output_padding_below_stride(op: "ConvTranspose2d", types: Types) -> str | None:
    """Output padding is not negative and less than the stride."""
    fits = all(0 <= p < s for p, s in zip(op.output_padding, op.stride, strict=True))
    return None if fits else f"output_padding {op.output_padding} with stride {op.stride}"


@rule("output")
def _something_left(op: "ConvTranspose2d", types: Types) -> str | None:
    """Padding leaves at least one row and column."""
    shape = op.shape(types)
    return None if min(shape) >= 1 else f"output would be {shape}"


@dataclass(frozen=True, eq=False)
class ConvTranspose2d(Unary, Biased):
    """Transposed convolution with groups, stride and padding; its dilation is 1.

    ``acc[k, y, x] = sum(w[k, c, r, s] * (q[c, i, j] - zero_point_in)) + bias[k]`` over all elements
    and taps with ``y = stride * i + r - top`` and ``x = stride * j + s - left``. A position that no
    tap reaches holds the bias.

    Parameters
    ----------
    weight : (K, C / groups, R, S) and not PyTorch's (C, K / groups, R, S), signed
    weight_bits : int, 2..8
    bias : (K,), int32 at scale ``s_in * s_w``
    stride : (vertical, horizontal), at least 1
    padding : (top, bottom, left, right), rows and columns cut off the output, less than the kernel
    output_padding : (bottom, right), how much less is cut off there, less than the stride
    groups : int, divides C and K
    requantize : one multiplier per output channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        rules.weight_shape,
        rules.groups_divide,
        rules.weight_covers_channels,
        rules.bits_of_weights,
        rules.weights_fit,
        rules.bias_shape,
        rules.stride_positive,
        rules.padding_not_negative,
        _cut_inside_kernel,
        _output_padding_below_stride,
        _something_left,
        rules.shape_agrees,
        rules.requantize_fits,
        rules.accumulator_fits,
    )

    weight: Integers
    weight_bits: int
    bias: IntArray
    stride: Pair
    padding: Padding
    output_padding: Pair
    groups: int
    requantize: Requantize

    @property
    def kernel(self) -> Pair:
        """(R, S)."""
        return int(self.weight.shape[2]), int(self.weight.shape[3])

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        _, height, width = types[self.input].shape
        size = transposed_shape(
            (height, width), self.kernel, self.stride, self.padding, self.output_padding
        )
        return (self.weight.shape[0], *size)

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        x, x_type = values[self.input], types[self.input]
        k, c, r, s = self.weight.shape
        (_, h, w), g = x.shape, self.groups
        (top, _, left, _), (below, beside) = self.padding, self.output_padding
        rows, columns = transposed_shape(
            (h, w), (r, s), self.stride, self.padding, self.output_padding
        )
        real = (x - x_type.zero_point).reshape(g, c, h * w)
        dtype = np.float64 if fits_float64(self.weight, real) else np.int64
        real, weight = real.astype(dtype), self.weight.reshape(g, k // g, c, r, s).astype(dtype)
        # Every element adds a kernel to a canvas, from which padding is cut off.
        canvas = np.zeros(
            (k, (h - 1) * self.stride[0] + r + below, (w - 1) * self.stride[1] + s + beside), dtype
        )
        for i in range(r):
            for j in range(s):
                taps = (weight[:, :, :, i, j] @ real).reshape(k, h, w)
                under = window(canvas, (i, j), self.stride, (h, w))
                np.add(under, taps, out=under)
        result: IntArray = canvas[:, top : top + rows, left : left + columns].astype(np.int64)
        return result + self.bias[:, None, None]

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range over all phases: neighbours meet every ``stride``-th tap."""
        lows, highs = [self.bias], [self.bias]
        for i in range(self.stride[0]):
            for j in range(self.stride[1]):
                taps = self.weight[:, :, i :: self.stride[0], j :: self.stride[1]]
                low, high = weighted_range(taps, self.bias, types[self.input])
                lows.append(low)
                highs.append(high)
        return np.minimum.reduce(lows), np.maximum.reduce(highs)
