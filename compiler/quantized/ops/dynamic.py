"""Sums whose weights are another tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from tilewright.compiler.ir.shapes import window_shape
from tilewright.compiler.quantized.ops.base import Op, Padding, Pair
from tilewright.compiler.quantized.types import GraphError, Shape


@dataclass(frozen=True, eq=False)
class MatMul(Op):
    """Product of matrices of channels and pixels, as :class:`tilewright.compiler.ir.MatMul`.

    Inputs are x (C, H, W) and weights (K, h, w) with ``h * w = C / groups``, or where they are
    ``transposed`` (C, h, w). The product is multiplied by ``factor``, which is positive.
    """

    transposed: bool
    groups: int
    factor: float = 1.0

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        (c, *size), (k, height, width) = inputs
        fits = k == c if self.transposed else height * width * self.groups == c
        if self.groups < 1 or not fits or c % self.groups or k % self.groups:
            raise GraphError(f"{self.name}: weights {inputs[1]} do not fit {inputs[0]}")
        return (self.groups * height * width if self.transposed else k), size[0], size[1]

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Multiply."""
        x, w = inputs
        matrix = w.reshape(len(w), self.groups, w.shape[1] // self.groups, -1)
        if self.transposed:
            matrix = matrix.transpose(2, 3)
        columns = x.reshape(len(x), self.groups, x.shape[1] // self.groups, -1)
        product = matrix @ columns * self.factor
        return product.reshape(len(product), -1, *x.shape[2:])


@dataclass(frozen=True, eq=False)
class DynamicConv(Op):
    """Convolution with computed kernels, as :class:`tilewright.compiler.ir.DynamicConv2d`.

    Inputs are x (C, H, W) and weights (K, h, w), with a pixel for each tap and channel of a group.
    The result is multiplied by ``factor``, which is positive.
    """

    kernel: Pair
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    factor: float = 1.0

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        (c, *size), (k, height, width) = inputs
        taps = self.kernel[0] * self.kernel[1]
        divides = self.groups > 0 and c % self.groups == k % self.groups == 0
        if not divides or height * width * self.groups != taps * c:
            raise GraphError(f"{self.name}: weights {inputs[1]} do not fit {inputs[0]}")
        pixels = size[0], size[1]
        return k, *window_shape(pixels, self.kernel, self.stride, self.padding, self.dilation)

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Convolve each image with its own kernels."""
        x, w = inputs
        count, channels = x.shape[:2]
        kernels = w.shape[1]
        taps = w.reshape(count, kernels, *self.kernel, -1).permute(0, 1, 4, 2, 3)
        top, bottom, left, right = self.padding
        padded = F.pad(x, (left, right, top, bottom))
        result = F.conv2d(
            padded.reshape(1, count * channels, *padded.shape[2:]),
            taps.reshape(count * kernels, *taps.shape[2:]),
            None,
            self.stride,
            0,
            self.dilation,
            count * self.groups,
        )
        return result.reshape(count, kernels, *result.shape[2:]) * self.factor
