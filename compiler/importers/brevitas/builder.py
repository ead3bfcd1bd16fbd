"""Emits operators of the quantized graph, and says which quantizer is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tilewright.compiler.importers.brevitas.values import (
    Abstract,
    Mapped,
    Pending,
    Quantized,
    RealInput,
)
from tilewright.compiler.quantized import build
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.types import Quantization
from tilewright.errors import UnsupportedError


class Builder:
    """Collects the operators of a model; ``graph`` is the quantized graph's own builder."""

    def __init__(self) -> None:
        self.graph = build.Builder()

    def emit(
        self, where: str, make: Callable[[str], q.Op], grid: Quantization | None = None
    ) -> str:
        """Append the operator that ``make`` returns for its output's name, and return that."""
        return self.graph.emit(make(self.graph.unique(where)), grid)

    def quantized(self, where: str, x: Abstract | None) -> Quantized:
        """``x`` as a tensor on a grid, or an error that says which quantizer lacks."""
        match x:
            case Quantized():
                return x
            case RealInput():
                raise UnsupportedError(
                    where,
                    f"its input {x.name} is not quantized",
                    "Begin the model with brevitas.nn.QuantIdentity, or give the layer an "
                    "input_quant.",
                )
            case Pending():
                relu = x.lower > -float("inf")
                raise UnsupportedError(
                    x.where,
                    f"{'a ReLU without quantizer' if relu else 'its output is not quantized'} "
                    f"where {where} reads it",
                    "Use brevitas.nn.QuantReLU, brevitas.nn.QuantIdentity or the layer's "
                    "output_quant=Int8ActPerTensorFloat after it.",
                )
            case Mapped():
                raise UnsupportedError(
                    x.where,
                    f"its output is not quantized where {where} reads it",
                    "Use brevitas.nn.QuantIdentity after the activation function.",
                )
            case None:
                raise UnsupportedError(
                    where,
                    "an operand that is not an activation",
                    "Only tensors that come from the model's inputs can be combined.",
                )

    def quantize(self, where: str, x: Abstract, grid: Quantization) -> Quantized:
        """Put ``x`` on ``grid``; ``where`` names the quantizer."""
        if isinstance(x, Quantized):
            same = (x.grid.scale, x.grid.zero_point) == (grid.scale, grid.zero_point)
            if same and grid.qmin <= x.grid.qmin and x.grid.qmax <= grid.qmax:
                return x
        if isinstance(x, Pending):
            grid = grid.clipped(x.lower, x.upper)
        name = self.emit(where, lambda output: q.Copy(where, (x.name,), output), grid)
        return Quantized(where, name, x.shape, x.flat, grid)

    def clip(self, where: str, x: Abstract, lower: float, upper: float) -> Abstract:
        """Apply an activation function that clips reals to ``lower..upper``."""
        if isinstance(x, RealInput):
            raise UnsupportedError(
                where,
                f"an activation function on the input {x.name}, which is not quantized",
                "Use brevitas.nn.QuantReLU, or quantize the input first.",
            )
        expression = q.Apply("clamp", (q.X, lower, upper))
        name = self.emit(where, lambda output: q.Function(where, (x.name,), output, expression))
        match x:
            case Pending():
                low, high = (min(max(v, lower), upper) for v in (x.lower, x.upper))
                return replace(x, name=name, lower=low, upper=high)
            case Quantized():
                return Pending(where, name, x.shape, x.flat, stored=True, lower=lower, upper=upper)
            case Mapped():
                return replace(x, name=name)

    def function(self, where: str, x: Abstract, expression: q.Expression) -> Mapped:
        """Apply a function to a tensor on a grid, or to a function or a clip of one."""
        if not (isinstance(x, Mapped) or (isinstance(x, Pending) and x.stored)):
            x = self.quantized(where, x)
        source = x
        name = self.emit(
            where, lambda output: q.Function(where, (source.name,), output, expression)
        )
        return Mapped(where, name, x.shape, x.flat)
