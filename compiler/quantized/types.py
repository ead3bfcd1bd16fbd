"""What is known about a tensor of the quantized graph: its shape and, once found, its grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from tilewright.compiler.ir.deformable import fraction_bits
from tilewright.compiler.ir.types import TensorType
from tilewright.errors import Error

_LARGEST_WEIGHT = 127

Shape: TypeAlias = tuple[int, int, int]
"""(C, H, W) of one image; a sequence (C, L) is an image of one row, a vector (F,) one pixel."""


class GraphError(Error):
    """A quantized graph breaks a rule; the message names the operator."""


@dataclass(frozen=True)
class Quantization:
    """The grid of a tensor: ``q = clamp(round(x / scale + zero_point), qmin, qmax)``.

    Parameters
    ----------
    scale : float, finite and positive
    zero_point : int, a value of the type
    bits : int, 2..16; more than 8 take an engine with ``wide_maps``
    signed : bool
    low, high : int or None, narrower ends than the type's: a narrow range, a ReLU

    Raises
    ------
    GraphError  If a field is out of range.
    """

    scale: float
    zero_point: int
    bits: int
    signed: bool
    low: int | None = None
    high: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise GraphError(f"a scale must be finite and positive, not {self.scale}")
        if not 2 <= self.bits <= 16:
            raise GraphError(f"bits must be in 2..16, not {self.bits}")
        least = -(1 << (self.bits - 1)) if self.signed else 0
        most = (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1
        if not least <= self.zero_point <= most:
            raise GraphError(f"a zero point must be in {least}..{most}, not {self.zero_point}")
        if not least <= self.qmin <= self.qmax <= most:
            raise GraphError(f"a range must be in {least}..{most}, not {self.qmin}..{self.qmax}")
        # Equal grids compare equal, however they were written.
        object.__setattr__(self, "low", None if self.low == least else self.low)
        object.__setattr__(self, "high", None if self.high == most else self.high)

    @property
    def qmin(self) -> int:
        """Lowest integer."""
        if self.low is not None:
            return self.low
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def qmax(self) -> int:
        """Highest integer."""
        if self.high is not None:
            return self.high
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    def type(self, shape: Shape) -> TensorType:
        """Type of a tensor of ``shape`` on this grid, in the integer graph."""
        return TensorType(shape, self.bits, self.signed, self.scale, self.zero_point)

    def round(self, x: float) -> int:
        """Round a real number to an integer, before clamping."""
        return round(x / self.scale + self.zero_point)

    def within(self, low: int, high: int) -> Quantization:
        """Return the same grid with these ends."""
        return replace(self, low=low, high=high)

    def clipped(self, lower: float, upper: float) -> Quantization:
        """Narrow the range to what reals in ``lower..upper`` reach; exact, rounding is monotone."""
        low = max(self.qmin, self.round(lower)) if math.isfinite(lower) else self.qmin
        high = min(self.qmax, self.round(upper)) if math.isfinite(upper) else self.qmax
        return self.within(min(low, self.qmax), max(high, self.qmin))

    def fraction_bits(self, least: int = 0) -> int | None:
        """Return f where the scale is ``2**-f`` with f in ``least..8``, as offsets of taps need."""
        return fraction_bits(self.type((1, 1, 1)), least)

    def apply(self, x: Tensor) -> Tensor:
        """Put reals on the grid: round half to even, saturate, and return reals."""
        q = nearest(x / self.scale + self.zero_point)
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


def may_weigh(factors: Sequence[Quantization | None]) -> bool:
    """Whether factors of channels can be loaded as weights.

    Parameters
    ----------
    factors : grids of the tensors whose elements they are; None are grids that are chosen later
    """
    known = [grid for grid in factors if grid is not None]
    return all(grid.qmax <= _LARGEST_WEIGHT and not grid.zero_point for grid in known)
