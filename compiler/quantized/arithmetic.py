"""Functions of a tensor and constants, as importers call them."""

from __future__ import annotations

import math

from torch import Tensor

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.ops.elementwise import BinaryFunction
from tilewright.errors import UnsupportedError


def with_constant(
    builder: Builder, where: str, function: BinaryFunction, x: View, value: Tensor, first: bool
) -> View:
    """Apply a function to a tensor and constants of its shape.

    ``first``: whether the tensor is the first operand.

    Raises
    ------
    UnsupportedError  If constants differ in a function that is no affine one.
    """
    value = value.detach().double()
    zero, one = value * 0, value * 0 + 1
    match function:
        case "add":
            return builder.affine(where, x, one, value)
        case "sub" if first:
            return builder.affine(where, x, one, -value)
        case "sub":
            return builder.affine(where, x, -one, value)
        case "mul":
            return builder.affine(where, x, value, zero)
        case "div" if first:
            return builder.affine(where, x, 1 / value, zero)
    number = float(value.reshape(-1)[0]) if value.numel() else 0.0
    if not bool((value == number).all()):
        raise UnsupportedError(
            where,
            f"the function {function} of a tensor and constants that differ",
            "Use one number, or compute it with products and sums.",
        )
    if function in ("maximum", "minimum"):
        ends = (number, math.inf) if function == "maximum" else (-math.inf, number)
        return builder.function(where, x, q.Apply("clamp", (q.X, *ends)))
    operands = (q.X, number) if first else (number, q.X)
    return builder.function(where, x, q.Apply(function, operands))
