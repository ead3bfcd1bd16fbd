"""Tables, sums, products and maxima."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from tilewright.compiler.ir.ops import Maximum
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.ops.elementwise import evaluate
from tilewright.compiler.quantized.to_integer.builder import Builder
from tilewright.compiler.quantized.to_integer.values import (
    Abstract,
    AddSource,
    FloatArray,
    GateSource,
    Mapped,
    Pending,
    ProductSource,
    Quantized,
    RescaleSource,
)
from tilewright.compiler.quantized.types import Quantization
from tilewright.errors import UnsupportedError

_INFINITE = 1e30


def table(builder: Builder, op: q.Function, x: Abstract) -> Mapped:
    """Return a function that waits for its grid; of a function or a clip, both in one."""
    if isinstance(x, Pending) and isinstance(x.source, RescaleSource):  # a clip of what is stored
        lower, upper = x.lower, x.upper
        x = Mapped(x.where, x.source.x, lambda reals: reals.clip(lower, upper))
    inner = x.function if isinstance(x, Mapped) else None
    source = x.x if isinstance(x, Mapped) else builder.quantized(op.name, x)

    def function(reals: FloatArray) -> FloatArray:
        argument = torch.from_numpy(reals if inner is None else inner(reals))
        value = evaluate(op.expression, argument.clone())
        result = np.broadcast_to(np.asarray(value, np.float64), reals.shape)
        # A pole, as of a reciprocal at zero, saturates.
        clipped: FloatArray = np.clip(result, -_INFINITE, _INFINITE)
        return clipped

    return Mapped(op.name, source, function)


def lookup(op: q.Table, x: Quantized) -> Mapped:
    """Return what looks results up, on its way to their grid."""
    values, t = op.values.numpy(), x.type
    if (t.scale, t.zero_point, t.qmax - t.qmin) != (op.scale, op.zero_point, len(values) - 1):
        raise UnsupportedError(op.name, "a table for another grid", "The importer is wrong.")

    def function(reals: FloatArray) -> FloatArray:
        result: FloatArray = values[
            np.rint(reals / t.scale).astype(np.int64) + t.zero_point - t.qmin
        ]
        return result

    return Mapped(op.name, x, function)


def binary(builder: Builder, op: q.Binary, a: Quantized, b: Quantized) -> Pending | Quantized:
    """Return a sum or a product that waits for its grid, or emit a maximum."""
    match op.function:
        case "add":
            return sum_of(op.name, a, b, op.shared)
        case "sub":
            difference = sum_of(op.name, a, b)
            return replace(difference, source=AddSource(a, b, None, minus=True))
        case "maximum":
            return _maximum(builder, op, a, b)
        case "mul":
            return product(op, a, b)
    raise UnsupportedError(op.name, f"the function {op.function}", "See docs/quantize.md.")


def product(op: q.Binary, a: Quantized, b: Quantized) -> Pending:
    """Return a product of two tensors, of which one may have one pixel or one channel."""
    shape = max(a.type.shape, b.type.shape, key=math.prod)
    source: GateSource | ProductSource = ProductSource(a, b)
    pixels = a.type.shape[1:], b.type.shape[1:]
    if pixels == ((1, 1), (1, 1)):  # either may be the factors, or neither
        if _is_factor(b):
            source = GateSource(a, b)
        elif _is_factor(a):
            source = GateSource(b, a)
    elif (1, 1) in pixels:
        source = GateSource(b, a) if pixels[0] == (1, 1) else GateSource(a, b)
    scale = np.full(shape[0], a.type.scale * b.type.scale)
    if op.scale is not None:
        scale *= op.scale.numpy()
    return Pending(op.name, source, shape, scale, np.zeros(shape[0]), False)


def _is_factor(x: Quantized) -> bool:
    """Whether the engine multiplies channels by a tensor's elements."""
    return x.type.zero_point == 0 and x.type.qmax <= 127


def sum_of(where: str, a: Quantized, b: Quantized, shared: Quantization | None = None) -> Pending:
    """Return a sum of two tensors of one shape."""
    channels = a.type.shape[0]
    # The scale of the sum is the shared grid's, which is chosen when the output's is known.
    ones, zeros = np.ones(channels), np.zeros(channels)
    return Pending(where, AddSource(a, b, shared), a.type.shape, ones, zeros, False)


def _maximum(builder: Builder, op: q.Binary, a: Quantized, b: Quantized) -> Quantized:
    name = builder.unique(op.name)
    grid = a.grid.within(max(a.qmin, b.qmin), max(a.qmax, b.qmax))
    return builder.emit(Maximum(name, a.value, b.value, name), grid, a.type.shape)
