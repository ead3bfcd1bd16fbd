"""What is known about a tensor of the quantized graph: its shape and, once found, its grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from tilewright.errors import Error

Shape: TypeAlias = tuple[int, int, int]
"""(C, H, W) of one image; a sequence (C, L) is an image of one row, a vector (F,) one pixel."""


class GraphError(Error):
    """A quantized graph breaks a rule; the message names the operator."""


@dataclass(frozen=True)
class Quantization:
    """The grid of a tensor: real value = ``scale * (q - zero_point)``.

    Parameters
    ----------
    scale : float, finite and positive
    zero_point : int, a value of the type
    bits : int, 2..8
    signed : bool

    Raises
    ------
    GraphError  If a field is out of range.
    """

    scale: float
    zero_point: int
    bits: int
    signed: bool

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise GraphError(f"a scale must be finite and positive, not {self.scale}")
        if not 2 <= self.bits <= 8:
            raise GraphError(f"bits must be in 2..8, not {self.bits}")
        if not self.qmin <= self.zero_point <= self.qmax:
            raise GraphError(
                f"a zero point must be in {self.qmin}..{self.qmax}, not {self.zero_point}"
            )

    @property
    def qmin(self) -> int:
        """Lowest integer."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def qmax(self) -> int:
        """Highest integer."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    def apply(self, x: Tensor) -> Tensor:
        """Put reals on the grid: round half to even, saturate, and return reals."""
        q = nearest(x / self.scale) + self.zero_point
        return (q.clamp(self.qmin, self.qmax) - self.zero_point) * self.scale


def nearest(steps: Tensor) -> Tensor:
    """Round half to even; what float64 noise keeps from a tie counts as one.

    Sums of products that would be ties in integers miss them by some 1e-16 in floats.
    """
    return torch.round(torch.round(steps * 2.0**22) / 2.0**22)


@dataclass(frozen=True)
class TensorInfo:
    """Shape and grid of a tensor; None: never stored, a fused operator's inner value."""

    shape: Shape
    quantization: Quantization | None = None
