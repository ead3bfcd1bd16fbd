"""Tables, sums, products and maxima."""

from __future__ import annotations

import numpy as np
import torch

from tilewright.compiler.frontend.builder import Builder
from tilewright.compiler.frontend.quantizers import FloatArray, Grid
from tilewright.compiler.frontend.values import AddSource, GateSource, Mapped, Pending, Quantized
from tilewright.compiler.ir.ops import Maximum
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.ops.elementwise import evaluate
from tilewright.errors import UnsupportedError

_INFINITE = 1e30


def table(op: q.Function, x: Quantized) -> Mapped:
    """Return a function that waits for its grid."""

    def function(reals: FloatArray) -> FloatArray:
        value = evaluate(op.expression, torch.from_numpy(reals))
        result = np.broadcast_to(np.asarray(value, np.float64), reals.shape)
        # A pole, as of a reciprocal at zero, saturates.
        clipped: FloatArray = np.clip(result, -_INFINITE, _INFINITE)
        return clipped

    return Mapped(op.name, x, function)


def binary(builder: Builder, op: q.Binary, a: Quantized, b: Quantized) -> Pending | Quantized:
    """Return a sum or a product that waits for its grid, or emit a maximum."""
    match op.function:
        case "add":
            return sum_of(op.name, a, b)
        case "maximum":
            return _maximum(builder, op, a, b)
        case "mul":
            first = a.type.shape[1:] == (1, 1) != b.type.shape[1:]  # the factor per channel
            x, gate = (b, a) if first else (a, b)
            channels = x.type.shape[0]
            scale = np.full(channels, x.type.scale * gate.type.scale)
            source = GateSource(x, gate)
            zeros = np.zeros(channels)
            return Pending(op.name, source, x.type.shape, scale, zeros, False, x.flat)
    raise UnsupportedError(op.name, f"the function {op.function}", "See docs/quantize.md.")


def sum_of(where: str, a: Quantized, b: Quantized) -> Pending:
    """Return a sum of two tensors of one shape."""
    channels = a.type.shape[0]
    ones, zeros = np.ones(channels), np.zeros(channels)
    return Pending(where, AddSource(a, b, None), a.type.shape, ones, zeros, False, a.flat)


def _maximum(builder: Builder, op: q.Binary, a: Quantized, b: Quantized) -> Quantized:
    name, t = builder.unique(op.name), a.type
    low, high = max(a.qmin, b.qmin), max(a.qmax, b.qmax)
    grid = Grid(t.scale, t.zero_point, t.bits, t.signed, low, high)
    return builder.emit(Maximum(name, a.value, b.value, name), grid, t.shape, False)
