"""The integer graph and its meaning: the one truth about what the hardware must compute.

In the order in which data passes through: ``types`` (tensor types, requantization), ``arithmetic``
(what operators share, in NumPy), ``op`` (what every operator says of itself), ``rules`` (what
several must obey), ``ops`` (the operators, a file a family), ``shapes`` and ``deformable`` (places
of windows, and between pixels), ``intervals`` (ranges of values and sums), ``graph`` (how operators
connect, and verification), ``multipliers`` (real factors to an engine's multipliers), ``beside`` (a
batch of images as one row), ``run`` (what a graph computes), ``inputs`` (floats to integers),
``text`` (a printed form that parses back equal), ``docs`` (the page of supported operators).
"""

from tilewright.compiler.ir.beside import side_by_side
from tilewright.compiler.ir.graph import Graph
from tilewright.compiler.ir.inputs import quantize_input
from tilewright.compiler.ir.intervals import accumulator_bits, accumulator_range
from tilewright.compiler.ir.multipliers import choose_multipliers
from tilewright.compiler.ir.ops import (
    OPS,
    Add,
    AvgPool2d,
    Concat,
    Constant,
    Conv2d,
    ConvTranspose2d,
    DeformConv2d,
    DynamicConv2d,
    Gate,
    Input,
    Linear,
    Lookup,
    MatMul,
    Maximum,
    MaxPool2d,
    Op,
    Output,
    PixelShuffle,
    PixelUnshuffle,
    Product,
    Recurrence,
    Rescale,
    RoundedConv2d,
    SelectChannels,
    Upsample,
    UpsampleBilinear,
    WeightedSum,
)
from tilewright.compiler.ir.results import ResultView
from tilewright.compiler.ir.run import run
from tilewright.compiler.ir.text import ParseError, check_limits, parse_graph, print_graph
from tilewright.compiler.ir.types import Ratio, Requantize, TensorType, VerifyError, make_requantize

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
    "Graph",
    "Input",
    "Linear",
    "Lookup",
    "MatMul",
    "MaxPool2d",
    "Maximum",
    "Op",
    "Output",
    "ParseError",
    "PixelShuffle",
    "PixelUnshuffle",
    "Product",
    "Ratio",
    "Recurrence",
    "Requantize",
    "Rescale",
    "ResultView",
    "RoundedConv2d",
    "SelectChannels",
    "TensorType",
    "Upsample",
    "UpsampleBilinear",
    "VerifyError",
    "WeightedSum",
    "accumulator_bits",
    "accumulator_range",
    "check_limits",
    "choose_multipliers",
    "make_requantize",
    "parse_graph",
    "print_graph",
    "quantize_input",
    "run",
    "side_by_side",
]
