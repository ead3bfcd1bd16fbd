"""A call of a module or function, and what modules and functions share."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from tilewright.compiler.importers.brevitas.builder import Builder
from tilewright.compiler.importers.brevitas.values import (
    Abstract,
    Known,
    Pending,
    Quantized,
)
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.types import Quantization, Shape
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
        if not isinstance(x, Known):
            self.builder.quantized(self.where, None)
            raise AssertionError("unreachable")
        activation: Any = x
        return activation  # type: ignore[no-any-return]

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


def flatten(call: Call) -> Abstract:
    """View (N, C, H, W) as (N, C * H * W), or do nothing."""
    x = call.tensor(0)
    if call.flat and call.shape[0] == math.prod(x.shape):
        return replace(x, flat=True)
    if not call.flat and not x.flat and call.shape == x.shape:
        return x
    raise UnsupportedError(
        call.where,
        f"a reshape from {x.shape} to {call.shape}",
        "Only flattening (N, C, H, W) to (N, C * H * W) is supported: use nn.Flatten().",
    )


def add(call: Call, a: Quantized, b: Quantized, shared: Quantization | None = None) -> Pending:
    """Sum of two quantized tensors of one shape; ``shared``: a grid they are put on before."""
    if a.shape != b.shape:
        raise UnsupportedError(
            call.where,
            f"an addition of shapes {a.shape} and {b.shape}",
            "Give both operands the same shape; broadcasting is not supported.",
        )
    name = call.builder.emit(
        call.where, lambda output: q.Binary(call.where, (a.name, b.name), output, "add", shared)
    )
    return Pending(call.where, name, a.shape, a.flat)


def product(call: Call, a: Quantized, b: Quantized) -> Pending:
    """Product of two tensors, of which one may have one pixel or one channel."""
    x, factor = (a, b) if math.prod(a.shape) >= math.prod(b.shape) else (b, a)
    channels, *pixels = x.shape
    if factor.shape not in ((channels, 1, 1), (1, *pixels), x.shape):
        raise UnsupportedError(
            call.where,
            f"a product of shapes {a.shape} and {b.shape}",
            "Multiply a (N, C, H, W) tensor by one of its shape, by one factor per channel, "
            "(N, C, 1, 1), or by one per pixel, (N, 1, H, W).",
        )
    name = call.builder.emit(
        call.where, lambda output: q.Binary(call.where, (x.name, factor.name), output, "mul")
    )
    return Pending(call.where, name, x.shape, x.flat)


def doubles(x: Tensor) -> Tensor:
    """Return a tensor's elements in float64, in one dimension."""
    return x.detach().double().reshape(-1)
