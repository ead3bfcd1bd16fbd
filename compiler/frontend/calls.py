"""A call of a module or function, and what modules and functions share."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.frontend.builder import Builder
from tilewright.compiler.frontend.quantizers import FloatArray
from tilewright.compiler.frontend.values import (
    Abstract,
    AddSource,
    GateSource,
    Mapped,
    Pending,
    Quantized,
    RealInput,
    RescaleSource,
    Shape,
)
from tilewright.errors import UnsupportedError


@dataclass(frozen=True)
class Call:
    """One call of a module or function.

    Parameters
    ----------
    builder : where operators go
    where : module path for messages and operator names
    args : abstract tensors, or other arguments as they are
    shape, flat : (C, H, W) of the result, and whether PyTorch sees (N, C * H * W)
    """

    builder: Builder
    where: str
    args: tuple[Any, ...]
    shape: Shape
    flat: bool

    def tensor(self, index: int) -> Abstract:
        """Argument ``index``, which must be an activation."""
        x = self.args[index] if index < len(self.args) else None
        if not isinstance(x, RealInput | Quantized | Pending | Mapped):
            self.builder.quantized(self.where, None)
            raise AssertionError("unreachable")
        return x

    def quantized(self, index: int) -> Quantized:
        """Argument ``index``, which must be a quantized activation."""
        return self.builder.quantized(self.where, self.tensor(index))

    def parts(self) -> tuple[Abstract, ...]:
        """Return the first argument, which must be a list of activations."""
        items = self.args[0]
        if not isinstance(items, tuple | list) or not items:
            raise UnsupportedError(
                self.where,
                f"a concatenation of {type(items).__name__}",
                "Pass a list of tensors.",
            )
        return tuple(replace(self, args=tuple(items)).tensor(i) for i in range(len(items)))


def apply(call: Call, function: Callable[[Tensor], Tensor]) -> Abstract:
    """Apply an activation function to a quantized tensor."""
    x = call.tensor(0)
    if isinstance(x, Pending) and isinstance(x.source, RescaleSource):  # a ReLU of a quantized x
        lower, upper = x.lower, x.upper
        x = Mapped(x.where, x.source.x, lambda reals: reals.clip(lower, upper))
    inner = x.function if isinstance(x, Mapped) else None
    source = x.x if isinstance(x, Mapped) else call.quantized(0)

    def evaluate(reals: FloatArray) -> FloatArray:
        tensor = torch.from_numpy(reals if inner is None else inner(reals))
        with torch.no_grad():
            return to_numpy(function(tensor.clone()))

    return Mapped(call.where, source, evaluate)


def flatten(call: Call) -> Abstract:
    """View (N, C, H, W) as (N, C * H * W), or do nothing."""
    x = call.tensor(0)
    if isinstance(x, Mapped):
        return replace(x, x=_flattened(call, x.x))
    result: Abstract = _flattened(call, x)
    return result


def _flattened(call: Call, x: Any) -> Any:
    """``x``, a quantized value or one on its way there, as PyTorch sees it after the reshape."""
    shape = x.type.shape if isinstance(x, Quantized) else x.shape
    if call.flat and call.shape[0] == math.prod(shape):
        return replace(x, flat=True)
    if not call.flat and not x.flat and call.shape == shape:
        return x
    raise UnsupportedError(
        call.where,
        f"a reshape from {shape} to {call.shape}",
        "Only flattening (N, C, H, W) to (N, C * H * W) is supported: use nn.Flatten().",
    )


def add(call: Call, a: Quantized, b: Quantized) -> Pending:
    """Sum of two quantized tensors of one shape."""
    if a.type.shape != b.type.shape:
        raise UnsupportedError(
            call.where,
            f"an addition of shapes {a.type.shape} and {b.type.shape}",
            "Give both operands the same shape; broadcasting is not supported.",
        )
    c = a.type.shape[0]
    # The scale of the sum is the shared grid's, which is chosen when the output's is known.
    ones, zeros = np.ones(c), np.zeros(c)
    return Pending(call.where, AddSource(a, b, None), a.type.shape, ones, zeros, False, a.flat)


def gated(call: Call, a: Quantized, b: Quantized) -> Pending:
    """Product of a tensor and one of its channels' factors."""
    x, gate = (b, a) if a.type.shape[1:] == (1, 1) else (a, b)
    shape = x.type.shape
    if gate.type.shape != (shape[0], 1, 1):
        raise UnsupportedError(
            call.where,
            f"a product of shapes {a.type.shape} and {b.type.shape}",
            "Multiply a (N, C, H, W) tensor by one factor per channel, (N, C, 1, 1).",
        )
    scale = np.full(shape[0], x.type.scale * gate.type.scale)
    source = GateSource(x, gate)
    return Pending(call.where, source, shape, scale, np.zeros(shape[0]), False, x.flat)


def to_numpy(x: Tensor) -> FloatArray:
    """Return a tensor's elements in float64, in one dimension."""
    array: FloatArray = x.detach().double().numpy().reshape(-1)
    return array
