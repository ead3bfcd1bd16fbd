"""Windows: pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from tilewright.compiler.quantized.ops.base import Op, Padding, Pair
from tilewright.compiler.quantized.types import Shape


def _windows(size: Sequence[int], kernel: Pair, stride: Pair, padding: Padding) -> Pair:
    rows = (size[0] + padding[0] + padding[1] - kernel[0]) // stride[0] + 1
    columns = (size[1] + padding[2] + padding[3] - kernel[1]) // stride[1] + 1
    return rows, columns


@dataclass(frozen=True, eq=False)
class MaxPool(Op):
    """Maximum over windows; padding never wins."""

    kernel: Pair
    stride: Pair
    padding: Padding
    dilation: Pair
    keeps_grid = True

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        c, *size = inputs[0]
        reach = tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        return c, *_windows(size, (reach[0], reach[1]), self.stride, self.padding)

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Take maxima."""
        top, bottom, left, right = self.padding
        x = F.pad(inputs[0], (left, right, top, bottom), value=float("-inf"))
        return F.max_pool2d(x, self.kernel, self.stride, dilation=self.dilation)


@dataclass(frozen=True, eq=False)
class AvgPool(Op):
    """Sum over windows, divided by ``divisor``; padding counts as zeros.

    ``whole``: where results are rounded twice, the mean is that of the integers, zero point
    included, half away from zero; else it is rounded as other sums are.
    """

    kernel: Pair
    stride: Pair
    padding: Padding
    divisor: float
    whole: bool = False

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        c, *size = inputs[0]
        return c, *_windows(size, self.kernel, self.stride, self.padding)

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Sum and divide."""
        top, bottom, left, right = self.padding
        x = F.pad(inputs[0], (left, right, top, bottom))
        return F.avg_pool2d(x, self.kernel, self.stride, divisor_override=1) / self.divisor
