"""The operators of the integer graph, one file a family.

``constant``     values that the program holds
``convolution``  convolution and fully connected layers
``tiled``        convolution in tiles of results
``deformable``   deformable convolution
``dynamic``      sums whose weights are another tensor
``transposed``   transposed convolution
``recurrence``   slices that depend on the slice before
``pooling``      maxima and sums of windows
``elementwise``  one or two values, element by element
``sums``         several values, each times a whole number
``movement``     what moves pixels and channels
"""

from tilewright.compiler.ir.arithmetic import IntArray
from tilewright.compiler.ir.op import (
    Input,
    Names,
    Op,
    OptionalName,
    Output,
    Padding,
    Pair,
    complete,
)
from tilewright.compiler.ir.ops.constant import Constant
from tilewright.compiler.ir.ops.convolution import Conv2d, Linear
from tilewright.compiler.ir.ops.deformable import DeformConv2d
from tilewright.compiler.ir.ops.dynamic import DynamicConv2d, MatMul
from tilewright.compiler.ir.ops.elementwise import (
    Add,
    Gate,
    Lookup,
    Maximum,
    Product,
    Rescale,
)
from tilewright.compiler.ir.ops.movement import (
    Concat,
    PixelShuffle,
    PixelUnshuffle,
    SelectChannels,
    Upsample,
    UpsampleBilinear,
)
from tilewright.compiler.ir.ops.pooling import AvgPool2d, MaxPool2d
from tilewright.compiler.ir.ops.recurrence import Recurrence
from tilewright.compiler.ir.ops.sums import WeightedSum
from tilewright.compiler.ir.ops.tiled import RoundedConv2d
from tilewright.compiler.ir.ops.transposed import ConvTranspose2d

__all__ = [
    "OPS",
    "Add",
    "AvgPool2d",
    "Concat",
    "Constant",
    "Conv2d",
    "ConvTranspose2d",
    "DeformConv2d",
    "DynamicConv2d",
    "Gate",
    "Input",
    "IntArray",
    "Linear",
    "Lookup",
    "MatMul",
    "MaxPool2d",
    "Maximum",
    "Names",
    "Op",
    "OptionalName",
    "Output",
    "Padding",
    "Pair",
    "PixelShuffle",
    "PixelUnshuffle",
    "Product",
    "Recurrence",
    "Rescale",
    "RoundedConv2d",
    "SelectChannels",
    "Upsample",
    "UpsampleBilinear",
    "WeightedSum",
]

OPS: tuple[type[Op], ...] = complete(
    Input,
    Constant,
    Conv2d,
    RoundedConv2d,
    DeformConv2d,
    DynamicConv2d,
    MatMul,
    ConvTranspose2d,
    Linear,
    Recurrence,
    MaxPool2d,
    AvgPool2d,
    Add,
    WeightedSum,
    Maximum,
    Rescale,
    Gate,
    Product,
    Lookup,
    Concat,
    SelectChannels,
    Upsample,
    UpsampleBilinear,
    PixelShuffle,
    PixelUnshuffle,
    Output,
)
"""Every operator that a graph may hold."""
