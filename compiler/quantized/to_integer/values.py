"""What is known about a tensor while the quantized graph becomes the integer graph.

A tensor is an input that is on no grid yet, a value of the integer graph, or *pending*: an exact
accumulator that waits for its grid, or a function that does. Waiting is what fuses convolution,
batch norm, ReLU and quantizer into one operator with one rounding.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tilewright.compiler.ir.arithmetic import IntArray
from tilewright.compiler.ir.ops import Padding, Pair
from tilewright.compiler.ir.types import TensorType
from tilewright.compiler.quantized.types import Quantization, Shape

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Weight:
    """Integer weights: real = ``scale[k] * integers[k]``.

    Parameters
    ----------
    integers : (K, ...) int64
    scale : (K,) float64, positive
    bits : int, 2..8
    """

    integers: IntArray
    scale: FloatArray
    bits: int


@dataclass(frozen=True)
class RealInput:
    """An argument of the model, in floats."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Quantized:
    """A value of the integer graph; its elements lie in ``qmin..qmax``."""

    value: str
    type: TensorType
    qmin: int
    qmax: int

    @property
    def grid(self) -> Quantization:
        """The grid of its type, of no more than its elements."""
        t = self.type
        return Quantization(t.scale, t.zero_point, t.bits, t.signed, self.qmin, self.qmax)


@dataclass(frozen=True)
class ConvSource:
    """Convolution of ``x`` with integer weights; ``once`` as in ``ops.Conv``."""

    x: Quantized
    weight: Weight
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    once: bool = False


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
    """Window sums of ``x``; ``whole`` as in :class:`~tilewright.compiler.quantized.ops.AvgPool`."""

    x: Quantized
    kernel: Pair
    stride: Pair
    padding: Padding
    whole: bool


@dataclass(frozen=True)
class AddSource:
    """Sum of ``a`` and ``b``, quantized to ``shared`` beforehand if it is given.

    ``minus``: their difference, as TFLite's kernel has it.
    """

    a: Quantized
    b: Quantized
    shared: Quantization | None
    minus: bool = False


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
class ProductSource:
    """Product of ``a`` and ``b``, pixel by pixel; one of them may have one channel."""

    a: Quantized
    b: Quantized


@dataclass(frozen=True)
class MatMulSource:
    """Product of ``x`` and ``weight`` as matrices of channels and pixels, in groups."""

    x: Quantized
    weight: Quantized
    transposed: bool
    groups: int


@dataclass(frozen=True)
class DynamicConvSource:
    """Convolution of ``x`` with the kernels in ``weight``."""

    x: Quantized
    weight: Quantized
    kernel: Pair
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int


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
Source = (
    WeightedSource
    | PoolSource
    | AddSource
    | BilinearSource
    | GateSource
    | ProductSource
    | MatMulSource
    | DynamicConvSource
    | RescaleSource
)


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
    """

    where: str
    source: Source
    shape: Shape
    scale: FloatArray
    offset: FloatArray
    rounds: bool
    lower: float = field(default=-math.inf)
    upper: float = field(default=math.inf)


Abstract = RealInput | Quantized | Pending | Mapped
