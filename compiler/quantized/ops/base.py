"""What all operators of the quantized graph share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

from torch import Tensor

from tilewright.compiler.quantized.types import Quantization, Shape

Pair: TypeAlias = tuple[int, int]
Padding: TypeAlias = tuple[int, int, int, int]
"""(top, bottom, left, right)."""


@dataclass(frozen=True, eq=False)
class Op:
    """An operator on tensors of one image, with the meaning that it has in real numbers.

    Parameters
    ----------
    name : path of the module that it comes from
    inputs : names of the tensors read
    output : name of the tensor written
    """

    name: str
    inputs: tuple[str, ...]
    output: str

    #: The output has the values of the inputs, and so their grid.
    keeps_grid = False

    @property
    def kind(self) -> str:
        """Name of the operator's class."""
        return type(self).__name__

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        return inputs[0]

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Compute (N, C, H, W) from (N, C, H, W) inputs, in their floating type."""
        raise NotImplementedError

    def evaluate_on(self, grid: Quantization, *inputs: Tensor) -> Tensor:
        """Compute the same where the output is on a grid, to which it will be rounded."""
        return self.evaluate(*inputs)

    def attributes(self) -> dict[str, object]:
        """Return what makes this operator different from others of its kind."""
        names = [f.name for f in fields(self) if f.name not in ("name", "inputs", "output")]
        return {name: getattr(self, name) for name in names}
