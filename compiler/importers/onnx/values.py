"""What a name in a model stands for while it is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.importers.hosted import Hosted
from tilewright.compiler.importers.onnx.tensors import Array
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.types import Quantization


@dataclass(frozen=True, eq=False)
class Stored:
    """Integers: what is between a quantizer and a dequantizer.

    Parameters
    ----------
    view : the reals before they are rounded
    grid : Quantization, or None of a model's integer input, which the first dequantizer says
    bits, signed : of the element type
    """

    view: View
    grid: Quantization | None
    bits: int
    signed: bool


@dataclass(frozen=True, eq=False)
class Scaled:
    """A dequantized constant.

    Parameters
    ----------
    integers : int64, of the tensor's shape, zero point taken off
    scale : float64, one number, or one for each index of ``axis``
    axis : int
    """

    integers: NDArray[np.int64]
    scale: NDArray[np.float64]
    axis: int

    @property
    def real(self) -> NDArray[np.float64]:
        """The numbers that it stands for."""
        scale = self.scale
        if scale.ndim:
            shape = [1] * self.integers.ndim
            shape[self.axis] = -1
            scale = scale.reshape(shape)
        result: NDArray[np.float64] = self.integers * scale
        return result


Value: TypeAlias = View | Stored | Scaled | Array | None
"""A feature map, integers, a constant, or an optional input that is left out."""
Known: TypeAlias = Value | Hosted
"""These, or what the host computes."""
