"""Slices of a map that depend on the slice before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from tilewright.compiler.quantized.ops.base import Op
from tilewright.compiler.quantized.types import GraphError, Quantization, Shape
from tilewright.nn.recurrence import slice_by_slice


@dataclass(frozen=True, eq=False)
class Recurrence(Op):
    """Slice by slice, as :class:`tilewright.nn.RecurrentConv`; one grid for results and messages.

    Parameters
    ----------
    weight : (C, C, T) float64
    bias : (C,) float64
    weight_scale : (C,) float64, or None before quantization; then weights are multiples of it
    weight_bits : int
    columns, backwards : as in :class:`tilewright.compiler.ir.Recurrence`
    """

    weight: Tensor
    bias: Tensor
    weight_scale: Tensor | None
    weight_bits: int
    columns: bool
    backwards: bool

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        channels = inputs[0][0]
        if self.weight.shape[:-1] != (channels, channels) or self.weight.shape[-1] % 2 == 0:
            raise GraphError(
                f"{self.name}: weights {tuple(self.weight.shape)} do not fit {channels} channels"
            )
        return inputs[0]

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Convolve and add, slice by slice."""
        (x,) = inputs
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return slice_by_slice(x, weight, bias, columns=self.columns, backwards=self.backwards)

    def evaluate_on(self, grid: Quantization, *inputs: Tensor) -> Tensor:
        """Do so with slices, messages and sums on the output's grid."""
        weight, bias = self.weight.to(inputs[0].dtype), self.bias.to(inputs[0].dtype)
        axis = 3 if self.columns else 2
        slices = list(grid.apply(inputs[0]).unbind(axis))
        places = range(len(slices))[:: -1 if self.backwards else 1]
        for before, place in pairwise(places):
            message = F.conv1d(slices[before], weight, bias, padding=weight.shape[2] // 2)
            slices[place] = grid.apply(slices[place] + grid.apply(message.relu()))
        return torch.stack(slices, axis)
