# ruff: noqa: D401 - docstrings of rules state them to the user
"""Sums whose weights are another tensor: products of matrices, and convolutions."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir import rules
from tilewright.compiler.ir.arithmetic import IntArray, pad, window
from tilewright.compiler.ir.op import (
    Accumulating,
    Biased,
    Padding,
    Pair,
    Rule,
    Shape,
    Types,
    Values,
)
from tilewright.compiler.ir.ops.elementwise import product_range
from tilewright.compiler.ir.rules import rule
from tilewright.compiler.ir.shapes import window_shape
from tilewright.compiler.ir.types import Requantize


@rule("groups")
def _groups_divide(op: "MatMul", types: Types) -> str | None:
    """It divides the channels of both tensors."""
    channels = types[op.input].shape[0], types[op.weight].shape[0]
    bad = op.groups < 1 or any(c % op.groups for c in channels)
    return f"groups={op.groups}, channels {channels}" if bad else None


@rule("weight")
def _matrices_meet(op: "MatMul", types: Types) -> str | None:
    """It has a pixel for each channel of a group, or as many channels if transposed."""
    (c, *_), (k, height, width) = types[op.input].shape, types[op.weight].shape
    if op.transposed:
        return None if k == c else f"{k} channels for {c}"
    pixels = height * width
    return None if pixels * op.groups == c else f"{pixels} pixels for {c // op.groups} channels"


class _Dynamic(Accumulating):
    """Trait of operators that multiply one tensor by another, which stands for weights."""

    input: str
    weight: str
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return (self.input, self.weight)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)

    def terms(self, types: Types) -> int:
        """Return how many products a sum has."""
        raise NotImplementedError

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range of the accumulator, (K,) each."""
        low, high = product_range(types[self.input], types[self.weight])
        count = self.terms(types)  # of which padding may leave out some
        return self.alike(min(low, 0) * count, max(high, 0) * count)


@dataclass(frozen=True, eq=False)
class MatMul(_Dynamic):
    """Product of two tensors as matrices of channels and pixels, as in attention.

    ``acc[k, p] = sum over c of (w[k, c] - zero_point_w) * (x[c, p] - zero_point_in)``, where row k
    of ``w`` is a channel of ``weight`` and column c one of its pixels, row by row; ``transposed``,
    row k is a pixel and column c a channel. Groups of channels, the heads of an attention, are
    multiplied apart.

    Parameters
    ----------
    input : value of shape (C, H, W)
    weight : value of shape (K, h, w) with ``h * w = C / groups``; transposed (C, h, w), and then
        ``K = groups * h * w``
    transposed : bool
    groups : int, divides C and K
    requantize : factor ``s_in * s_weight / s_out``, one multiplier per output channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        _groups_divide,
        _matrices_meet,
        rules.shape_agrees,
        rules.requantize_matches,
        rules.accumulator_fits,
    )

    input: str
    weight: str
    output: str
    transposed: bool
    groups: int
    requantize: Requantize

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        k, height, width = types[self.weight].shape
        channels = self.groups * height * width if self.transposed else k
        return channels, *types[self.input].shape[1:]

    def terms(self, types: Types) -> int:
        """Return how many products a sum has."""
        return types[self.input].shape[0] // self.groups

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        x, w = (values[v] - types[v].zero_point for v in self.inputs)
        matrix = w.reshape(self.groups, w.shape[0] // self.groups, -1)
        if self.transposed:
            matrix = matrix.transpose(0, 2, 1)
        columns = x.reshape(self.groups, x.shape[0] // self.groups, -1)
        # Sums of bytes' products are exact in float64, which is quick.
        product = matrix.astype(np.float64) @ columns.astype(np.float64)
        return np.asarray(product.astype(np.int64).reshape(-1, *x.shape[1:]))


@rule("groups")
def _groups_divide_kernels(op: "DynamicConv2d", types: Types) -> str | None:
    """It divides the channels of input and weights."""
    c, k = types[op.input].shape[0], types[op.weight].shape[0]
    bad = op.groups < 1 or c % op.groups or k % op.groups
    return f"groups={op.groups}, C={c}, K={k}" if bad else None


@rule("weight")
def _pixels_are_taps(op: "DynamicConv2d", types: Types) -> str | None:
    """It has a pixel for each tap and channel, R * S * C / groups."""
    _, height, width = types[op.weight].shape
    wanted = op.terms(types)
    return None if height * width == wanted else f"{height * width} pixels for {wanted}"


@rule("bias")
def _bias_of_channels(op: "DynamicConv2d", types: Types) -> str | None:
    """There is one int32 bias per output channel."""
    return rules.wrong_bias(op.bias, types[op.weight].shape[0])


@dataclass(frozen=True, eq=False)
class DynamicConv2d(_Dynamic, Biased):
    """Convolution of which another layer computes the kernels, for each image.

    ``acc = sum((w - zero_point_w) * (q - zero_point_in)) + bias``; padding holds the input's zero
    point. Output channel k has the kernel in channel k of ``weight``, whose pixel ``t * C / groups
    + c``, counted row by row, is the weight of tap t, counted row by row, and of input channel c of
    the channel's group.

    Parameters
    ----------
    weight : value of shape (K, h, w) with ``h * w = R * S * C / groups``
    bias : (K,), int32 at scale ``s_in * s_weight``
    kernel : (R, S)
    stride, dilation : (vertical, horizontal), at least 1
    padding : (top, bottom, left, right), at least 0
    groups : int, divides C and K
    requantize : factor ``s_in * s_weight / s_out``, one multiplier per output channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        rules.kernel_positive,
        _groups_divide_kernels,
        _pixels_are_taps,
        _bias_of_channels,
        rules.stride_positive,
        rules.dilation_positive,
        rules.padding_not_negative,
        rules.window_fits,
        rules.shape_agrees,
        rules.requantize_fits,
        rules.accumulator_fits,
    )

    input: str
    weight: str
    output: str
    bias: IntArray
    kernel: Pair
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    requantize: Requantize

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        _, height, width = types[self.input].shape
        rows = window_shape((height, width), self.kernel, self.stride, self.padding, self.dilation)
        return (types[self.weight].shape[0], *rows)

    def terms(self, types: Types) -> int:
        """Return how many products a sum has."""
        return self.kernel[0] * self.kernel[1] * types[self.input].shape[0] // self.groups

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        x, w = (values[v] - types[v].zero_point for v in self.inputs)
        k, *size = self.shape(types)
        taps = w.reshape(k, self.kernel[0], self.kernel[1], -1).astype(np.float64)
        padded = pad(x, self.padding, 0).astype(np.float64)
        acc = np.zeros((self.groups, k // self.groups, size[0] * size[1]))
        for r in range(self.kernel[0]):
            for s in range(self.kernel[1]):
                origin = r * self.dilation[0], s * self.dilation[1]
                pixels = window(padded, origin, self.stride, (size[0], size[1]))
                weights = taps[:, r, s].reshape(self.groups, k // self.groups, -1)
                acc += weights @ pixels.reshape(self.groups, weights.shape[2], -1)
        result: IntArray = acc.astype(np.int64).reshape(k, *size)
        return result + self.bias[:, None, None]

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range of the accumulator, (K,) each."""
        low, high = super().accumulator(types)
        return low + self.bias, high + self.bias
