"""What is known about a tensor of the model: where in the quantized graph it is, and on what grid.

A tensor is a float input that is not quantized yet, on a grid, or *pending*: sums, or a function,
that wait for the quantizer which gives them one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeAlias

from tilewright.compiler.quantized.types import Quantization, Shape


@dataclass(frozen=True)
class Known:
    """What all have.

    Parameters
    ----------
    where : module path of what made it, for messages
    name : of the tensor in the quantized graph
    shape : (C, H, W)
    flat : bool, whether PyTorch sees (N, C * H * W)
    """

    where: str
    name: str
    shape: Shape
    flat: bool


@dataclass(frozen=True)
class RealInput(Known):
    """An argument of the model, in floats."""


@dataclass(frozen=True)
class Quantized(Known):
    """A tensor on a grid."""

    grid: Quantization


@dataclass(frozen=True)
class Pending(Known):
    """Sums that wait for a quantizer.

    Parameters
    ----------
    weighted : bool, of products with weights, into which a batch norm folds
    stored : bool, it is a tensor on a grid that was clipped, of which functions can be taken
    lower, upper : float, what it was clipped to
    """

    weighted: bool = False
    stored: bool = False
    lower: float = field(default=-math.inf)
    upper: float = field(default=math.inf)


@dataclass(frozen=True)
class Mapped(Known):
    """A function of a tensor on a grid, that waits for a quantizer."""


Abstract: TypeAlias = RealInput | Quantized | Pending | Mapped
