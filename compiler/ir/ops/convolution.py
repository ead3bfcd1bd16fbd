"""Convolution and fully connected layers."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir import rules
from tilewright.compiler.ir.arithmetic import (
    IntArray,
    Integers,
    fits_float64,
    pad,
    weighted_range,
    window,
)
from tilewright.compiler.ir.op import (
    Biased,
    Op,
    Padding,
    Pair,
    Rule,
    Shape,
    Types,
    Unary,
    Values,
)
from tilewright.compiler.ir.rules import rule
from tilewright.compiler.ir.shapes import window_shape
from tilewright.compiler.ir.types import Requantize, TensorType


@dataclass(frozen=True, eq=False)
class Conv2d(Unary, Biased):
    """Convolution with groups, stride, padding and dilation.

    ``acc = sum(w * (q - zero_point_in)) + bias``; padding holds the input's zero point.

    Parameters
    ----------
    weight : (K, C / groups, R, S), signed integers of ``weight_bits`` bits
    weight_bits : int, 2..8
    bias : (K,), int32 at scale ``s_in * s_w``
    stride, dilation : (vertical, horizontal), at least 1
    padding : (top, bottom, left, right), at least 0
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
        rules.dilation_positive,
        rules.padding_not_negative,
        rules.window_fits,
        rules.shape_agrees,
        rules.requantize_fits,
        rules.accumulator_fits,
    )

    weight: Integers
    weight_bits: int
    bias: IntArray
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    requantize: Requantize

    @property
    def kernel(self) -> Pair:
        """(R, S)."""
        return int(self.weight.shape[2]), int(self.weight.shape[3])

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        _, *size = types[self.input].shape
        rows = window_shape(
            (size[0], size[1]), self.kernel, self.stride, self.padding, self.dilation
        )
        return (self.weight.shape[0], *rows)

    def side_by_side(self, images: int) -> Op | None:
        """Return the operator for images side by side: itself, if its kernel is one tap."""
        alone = self.kernel == self.stride == (1, 1) and not any(self.padding)
        return self if alone else None

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        return convolve(self, values[self.input], types[self.input])

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range of the accumulator, (K,) each."""
        return weighted_range(self.weight, self.bias, types[self.input])


def convolve(op: "Conv2d", x: IntArray, x_type: TensorType) -> IntArray:
    """Return the accumulator of a direct convolution of x (C, H, W), bias included."""
    k, c, r, s = op.weight.shape
    g = op.groups
    rows, columns = window_shape(x_type.shape[1:], (r, s), op.stride, op.padding, op.dilation)
    padded = pad(x - x_type.zero_point, op.padding, 0)
    # float64 matrix products are quick and exact as long as no sum leaves 53 bits.
    dtype = np.float64 if fits_float64(op.weight, padded) else np.int64
    padded = padded.astype(dtype)
    weight = op.weight.reshape(g, k // g, c, r, s).astype(dtype)
    acc = np.zeros((g, k // g, rows * columns), dtype)
    for i in range(r):
        for j in range(s):
            origin = (i * op.dilation[0], j * op.dilation[1])
            taps = window(padded, origin, op.stride, (rows, columns))
            acc += weight[:, :, :, i, j] @ taps.reshape(g, c, rows * columns)
    result: IntArray = acc.astype(np.int64).reshape(k, rows, columns)
    return result + op.bias[:, None, None]


_AT_ONCE = 1 << 22
"""Weights of a fully connected layer that are int64 at once."""


@rule("weight")
def _weight_shape(op: "Linear", types: Types) -> str | None:
    """Weights have the shape (K, C * H * W)."""
    numel = types[op.input].numel
    if op.weight.ndim != 2 or op.weight.shape[0] < 1 or op.weight.shape[1] != numel:
        return f"shape {op.weight.shape}, C * H * W = {numel}"
    return None


@dataclass(frozen=True, eq=False)
class Linear(Unary, Biased):
    """Fully connected layer over the flattened (C, H, W) input; the output is (K, 1, 1).

    Parameters
    ----------
    weight : (K, C * H * W) in PyTorch's flatten order, signed integers of ``weight_bits`` bits
    weight_bits : int, 2..8
    bias : (K,), int32 at scale ``s_in * s_w``
    requantize : one multiplier per output channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        _weight_shape,
        rules.bits_of_weights,
        rules.weights_fit,
        rules.bias_shape,
        rules.shape_agrees,
        rules.requantize_fits,
        rules.accumulator_fits,
    )

    weight: Integers
    weight_bits: int
    bias: IntArray
    requantize: Requantize

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        return (self.weight.shape[0], 1, 1)

    def side_by_side(self, images: int) -> Op | None:
        """Return the operator for images side by side: a convolution of one tap."""
        return Conv2d(
            name=self.name,
            input=self.input,
            output=self.output,
            weight=self.weight[:, :, None, None],
            weight_bits=self.weight_bits,
            bias=self.bias,
            stride=(1, 1),
            padding=(0, 0, 0, 0),
            dilation=(1, 1),
            groups=1,
            requantize=self.requantize,
        )

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        x = values[self.input].reshape(-1) - types[self.input].zero_point
        kernels = max(1, _AT_ONCE // self.weight.shape[1])
        parts = [
            self.weight[first : first + kernels].astype(np.int64) @ x
            for first in range(0, len(self.weight), kernels)
        ]
        acc: IntArray = np.concatenate(parts) + self.bias
        return acc[:, None, None]

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range of the accumulator, (K,) each."""
        return weighted_range(self.weight, self.bias, types[self.input])
