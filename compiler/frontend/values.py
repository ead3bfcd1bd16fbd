"""What the frontend knows about a tensor while it walks the PyTorch graph.

A tensor is a float input that is not quantized yet, a value of the integer graph, or *pending*: an
exact accumulator that waits for the quantizer which gives it a grid. Waiting is what fuses
convolution, batch norm, ReLU and quantizer into one operator with one rounding.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tilewright.compiler.frontend.quantizers import FloatArray, Grid, Weight
from tilewright.compiler.ir.ops import Padding, Pair
from tilewright.compiler.ir.types import TensorType

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class RealInput:
    """An argument of the model, in floats."""

    name: str
    shape: Shape
    flat: bool


@dataclass(frozen=True)
class Quantized:
    """A value of the integer graph; its elements lie in ``qmin..qmax``."""

    value: str
    type: TensorType
    qmin: int
    qmax: int
    flat: bool


@dataclass(frozen=True)
class ConvSource:
    """Convolution of ``x`` with integer weights."""

    x: Quantized
    weight: Weight
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int


@dataclass(frozen=True)
class DeformSource:
    """Convolution of samples of ``x`` with integer weights."""

    x: Quantized
    offset: Quantized
    mask: Quantized | None
    weight: Weight
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    offset_groups: int


@dataclass(frozen=True)
class ConvTransposeSource:
    """Transposed convolution of ``x`` with integer weights (K, C / groups, R, S)."""

    x: Quantized
    weight: Weight
    stride: Pair
    padding: Padding
    output_padding: Pair
    groups: int


@dataclass(frozen=True)
class LinearSource:
    """Matrix-vector product of the flattened ``x`` with integer weights."""

    x: Quantized
    weight: Weight


@dataclass(frozen=True)
class PoolSource:
    """Window sums of ``x``."""

    x: Quantized
    kernel: Pair
    stride: Pair
    padding: Padding


@dataclass(frozen=True)
class AddSource:
    """Sum of ``a`` and ``b``, quantized to ``shared`` beforehand if it is given."""

    a: Quantized
    b: Quantized
    shared: Grid | None


@dataclass(frozen=True)
class BilinearSource:
    """``x`` interpolated by a factor (vertical, horizontal)."""

    x: Quantized
    factor: Pair


@dataclass(frozen=True)
class GateSource:
    """Product of ``x`` and ``gate``, which has one element per channel."""

    x: Quantized
    gate: Quantized


@dataclass(frozen=True)
class RescaleSource:
    """``x`` itself, on its way to another grid."""

    x: Quantized


@dataclass(frozen=True)
class Mapped:
    """An activation function of the elements of ``x``, which waits for its quantizer.

    ``function`` takes and returns reals, element by element.
    """

    where: str
    x: Quantized
    function: Callable[[FloatArray], FloatArray]


WeightedSource = ConvSource | DeformSource | ConvTransposeSource | LinearSource
Source = WeightedSource | PoolSource | AddSource | BilinearSource | GateSource | RescaleSource


@dataclass(frozen=True)
class Pending:
    """``clip(scale * accumulator + offset, lower, upper)`` of an exact integer accumulator.

    Parameters
    ----------
    where : module path that names the operator
    source : where the accumulator comes from
    shape : (C, H, W)
    scale : (C,) float64; any sign after batch norm
    offset : (C,) float64, the bias in real units
    rounds : bool, whether the offset may be rounded to the accumulator's grid
    flat : bool, whether PyTorch sees (N, C * H * W)
    """

    where: str
    source: Source
    shape: Shape
    scale: FloatArray
    offset: FloatArray
    rounds: bool
    flat: bool
    lower: float = field(default=-math.inf)
    upper: float = field(default=math.inf)


Abstract = RealInput | Quantized | Pending | Mapped
