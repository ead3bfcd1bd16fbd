"""The integer graph and its meaning: the one truth about what the hardware must compute.

In the order in which data passes through: ``types`` (tensor types, requantization), ``ops`` (the
operators), ``shapes`` and ``intervals`` (what follows from their inputs), ``constraints`` (the
rules they obey), ``graph`` (how they connect, and verification), ``deformable`` (samples between
pixels) and ``reference`` (what operators compute, in NumPy), ``inputs`` (floats to integers),
``text`` (a printed form that parses back equal), ``docs`` (the page of supported operators).
"""

from tilewright.compiler.ir.graph import Graph
from tilewright.compiler.ir.inputs import quantize_input
from tilewright.compiler.ir.intervals import accumulator_bits, accumulator_range
from tilewright.compiler.ir.ops import (
    OPS,
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DeformConv2d,
    Gate,
    Input,
    Linear,
    Lookup,
    MaxPool2d,
    Op,
    Output,
    PixelShuffle,
    PixelUnshuffle,
    Rescale,
    RoundedConv2d,
    SelectChannels,
    Upsample,
    UpsampleBilinear,
)
from tilewright.compiler.ir.reference import run
from tilewright.compiler.ir.text import ParseError, check_limits, parse_graph, print_graph
from tilewright.compiler.ir.types import Requantize, TensorType, VerifyError, make_requantize

__all__ = [
    "OPS",
    "Add",
    "AvgPool2d",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "DeformConv2d",
    "Gate",
    "Graph",
    "Input",
    "Linear",
    "Lookup",
    "MaxPool2d",
    "Op",
    "Output",
    "ParseError",
    "PixelShuffle",
    "PixelUnshuffle",
    "Requantize",
    "Rescale",
    "RoundedConv2d",
    "SelectChannels",
    "TensorType",
    "Upsample",
    "UpsampleBilinear",
    "VerifyError",
    "accumulator_bits",
    "accumulator_range",
    "check_limits",
    "make_requantize",
    "parse_graph",
    "print_graph",
    "quantize_input",
    "run",
]
