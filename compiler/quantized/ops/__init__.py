"""The operators of the quantized graph, with their meaning in real numbers.

``base`` (what they share), ``weighted`` (convolutions, matrices), ``dynamic`` (those with computed
weights), ``elementwise`` (functions and their expressions), ``pooling``, ``movement`` (and
constants, interpolation), ``recurrence`` (slice by slice), ``host``.
"""

from tilewright.compiler.quantized.ops.base import Op, Padding, Pair
from tilewright.compiler.quantized.ops.dynamic import DynamicConv, MatMul
from tilewright.compiler.quantized.ops.elementwise import (
    FUNCTIONS,
    Affine,
    Apply,
    Argument,
    Balance,
    Binary,
    Expression,
    Function,
    Regularized,
    Table,
    X,
    bounds,
    line,
    substitute,
)
from tilewright.compiler.quantized.ops.host import Host
from tilewright.compiler.quantized.ops.movement import (
    Bilinear,
    Concat,
    Constant,
    Copy,
    IndexArray,
    Join,
    Move,
    PixelShuffle,
    PixelUnshuffle,
    Resample,
    Select,
    Upsample,
)
from tilewright.compiler.quantized.ops.pooling import AvgPool, MaxPool
from tilewright.compiler.quantized.ops.recurrence import Recurrence
from tilewright.compiler.quantized.ops.weighted import (
    Conv,
    ConvTranspose,
    DeformConv,
    Linear,
    Weighted,
)

__all__ = [
    "FUNCTIONS",
    "Affine",
    "Apply",
    "Argument",
    "AvgPool",
    "Balance",
    "Bilinear",
    "Binary",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "Copy",
    "DeformConv",
    "DynamicConv",
    "Expression",
    "Function",
    "Host",
    "IndexArray",
    "Join",
    "Linear",
    "MatMul",
    "MaxPool",
    "Move",
    "Op",
    "Padding",
    "Pair",
    "PixelShuffle",
    "PixelUnshuffle",
    "Recurrence",
    "Regularized",
    "Resample",
    "Select",
    "Table",
    "Upsample",
    "Weighted",
    "X",
    "bounds",
    "line",
    "substitute",
]
