"""Slices of a map that depend on the slice before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
        return self._run(inputs[0], lambda value: value)

    def evaluate_on(self, grid: Quantization, *inputs: Tensor) -> Tensor:
        """Do so with slices, messages and sums on the output's grid."""
        return self._run(grid.apply(inputs[0]), grid.apply)

    def _run(self, x: Tensor, rounded: Callable[[Tensor], Tensor]) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return slice_by_slice(
            x, weight, bias, columns=self.columns, backwards=self.backwards, rounded=rounded
        )
