"""Operators with weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from tilewright.compiler.ir.shapes import window_shape
from tilewright.compiler.quantized.ops.base import Op, Padding, Pair
from tilewright.compiler.quantized.types import GraphError, Shape
from tilewright.nn.deformable import square_offsets
from tilewright.nn.sampling import deform_conv2d


@dataclass(frozen=True, eq=False)
class Weighted(Op):
    """An operator with weights and a bias.

    Parameters
    ----------
    weight : float64, first dimension the output channels
    bias : (K,) float64
    weight_scale : (K,) float64, or None before quantization; then weights are multiples of it
    weight_bits : int
    """

    weight: Tensor
    bias: Tensor
    weight_scale: Tensor | None
    weight_bits: int


@dataclass(frozen=True, eq=False)
class Conv(Weighted):
    """Convolution; ``weight`` (K, C / groups, R, S).

    ``moves``: weights are zeros and ones that pick one element for each result, which so keeps
    its grid. ``once``: as a matrix over several vectors, whose sums TFLite rounds once.
    """

    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    moves: bool = False
    once: bool = False

    @property
    def keeps_grid(self) -> bool:  # type: ignore[override]
        """Whether the output has the values of the input."""
        return self.moves

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        c, height, width = inputs[0]
        k, per_group, *kernel = self.weight.shape
        if per_group * self.groups != c or k % self.groups:
            raise GraphError(
                f"{self.name}: weights {tuple(self.weight.shape)} in {self.groups} groups do not "
                f"fit {c} channels"
            )
        taps = kernel[0], kernel[1]
        return k, *window_shape((height, width), taps, self.stride, self.padding, self.dilation)

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Convolve."""
        (x,) = inputs
        top, bottom, left, right = self.padding
        symmetric = top == bottom and left == right
        if not symmetric:
            x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(
            x,
            self.weight.to(x.dtype),
            self.bias.to(x.dtype),
            self.stride,
            (top, left) if symmetric else 0,
            self.dilation,
            self.groups,
        )


@dataclass(frozen=True, eq=False)
class ConvTranspose(Weighted):
    """Transposed convolution; ``weight`` (K, C / groups, R, S), not PyTorch's order.

    ``padding`` is cut off, ``output_padding`` (bottom, right) appended; ``moves`` as for Conv.
    """

    stride: Pair
    padding: Padding
    output_padding: Pair
    groups: int
    moves: bool = False

    @property
    def keeps_grid(self) -> bool:  # type: ignore[override]
        """Whether the output has the values of the input."""
        return self.moves

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        _, *size = inputs[0]
        ends = (self.padding[:2], self.padding[2:])
        rows, columns = (
            (n - 1) * s + r - sum(p) + o
            for n, s, r, p, o in zip(
                size, self.stride, self.weight.shape[2:], ends, self.output_padding, strict=True
            )
        )
        return self.weight.shape[0], rows, columns

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Convolve, transposed."""
        (x,) = inputs
        k, per_group, r, s = self.weight.shape
        weight = self.weight.reshape(self.groups, k // self.groups, per_group, r, s)
        weight = weight.transpose(1, 2).reshape(-1, k // self.groups, r, s)
        top, bottom, left, right = self.padding
        below, beside = self.output_padding
        full = F.conv_transpose2d(x, weight.to(x.dtype), None, self.stride, groups=self.groups)
        full = F.pad(full, (-left, beside - right, -top, below - bottom))
        return full + self.bias.to(x.dtype)[:, None, None]


@dataclass(frozen=True, eq=False)
class Linear(Weighted):
    """Matrix-vector product with the flattened input; ``weight`` (K, C * H * W)."""

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        return self.weight.shape[0], 1, 1

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Multiply."""
        x = inputs[0].flatten(1)
        return F.linear(x, self.weight.to(x.dtype), self.bias.to(x.dtype))[:, :, None, None]


@dataclass(frozen=True, eq=False)
class DeformConv(Weighted):
    """Deformable convolution; inputs are x, offsets and, of v2, a mask.

    As :func:`tilewright.nn.sampling.deform_conv2d`; ``weight`` (K, C / groups, R, S). With
    ``square``, offsets are one distance per offset group, which scales the kernel.
    """

    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    offset_groups: int
    square: bool = False

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        return self.weight.shape[0], inputs[1][1], inputs[1][2]

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Sample and convolve."""
        x, offset, *mask = inputs
        if self.square:
            offset = square_offsets(offset, (self.weight.shape[2], self.weight.shape[3]))
        return deform_conv2d(
            x,
            offset,
            self.weight.to(x.dtype),
            self.bias.to(x.dtype),
            self.stride,
            self.padding,
            self.dilation,
            mask[0] if mask else None,
            groups=self.groups,
            offset_groups=self.offset_groups,
        )
