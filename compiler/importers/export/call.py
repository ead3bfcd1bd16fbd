"""A call of an ATen operator, and the table of what each becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor

from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.ops import Padding
from tilewright.errors import UnsupportedError


@dataclass(frozen=True)
class Call:
    """One call.

    Parameters
    ----------
    builder : where operators go
    where : module path for messages and names
    operator : ATen's name, such as "aten.conv2d"
    batch : int, images in the example
    """

    builder: Builder
    where: str
    operator: str
    batch: int

    def refuse(self, what: str, remedy: str) -> NoReturn:
        """Raise the error that names the layer."""
        raise UnsupportedError(self.where, what, remedy)

    def tensor(self, x: object, like: tuple[int, ...] | None = None) -> View:
        """Return an argument that must be a tensor; a constant becomes one."""
        if isinstance(x, View):
            return x
        if isinstance(x, Tensor):
            value = self.image(x)
            if like is not None:
                value = value.broadcast_to(like)
            return self.builder.constant(self.where, value, value.shape)
        if isinstance(x, Folded):
            self.refuse(
                f"{self.operator} of a tensor whose batch is not the first dimension",
                "Keep the batch as the first dimension.",
            )
        self.refuse(f"{self.operator} of {type(x).__name__}", "Pass a tensor.")

    def constant(self, x: object, what: str) -> Tensor:
        """Return an argument that must not depend on the model's inputs."""
        if isinstance(x, Tensor):
            return x
        self.refuse(
            f"{what} that depends on the inputs",
            "The engine keeps weights in its program: compute them from parameters only.",
        )

    def bias(self, x: object) -> Tensor | None:
        """Return a bias, if there is one, which must not depend on the model's inputs."""
        return None if x is None else self.constant(x, "a bias")

    def image(self, x: Tensor) -> Tensor:
        """Return one image's part of a constant that may have the batch as its first dimension."""
        if x.ndim and x.shape[0] in (1, self.batch):
            same = bool((x == x[:1]).all())
            if x.shape[0] == 1 or same:
                return x[0]
        self.refuse(
            f"a constant of the shape {tuple(x.shape)} where the batch is a dimension",
            "Give it one image, (1, ...).",
        )

    def beside(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Broadcast a constant to (N, *shape) and return one image of it."""
        full = x.broadcast_to((self.batch, *shape))
        if not bool((full == full[:1]).all()):
            self.refuse("a constant that differs from image to image", "Give all images the same.")
        return full[0]


@dataclass(frozen=True)
class Absent:
    """A result of an operator that the graph does not have, such as the indices of maxima."""

    where: str
    what: str


@dataclass(frozen=True, eq=False)
class Folded:
    """A tensor of which the batch is not the first dimension, or not alone in it.

    Parameters
    ----------
    view : one image's part, with as many dimensions as the batch's tensor
    axis : the dimension that holds the batch
    outer : what stands before the batch in it: its size is ``outer * N * inner``
    """

    view: View
    axis: int
    outer: int


@dataclass(frozen=True, eq=False)
class Fringed:
    """An image, or a sequence as one, with what is less than anything around it.

    Only maxima read it.
    """

    view: View
    padding: Padding


@dataclass(frozen=True, eq=False)
class Complex:
    """A complex tensor: parts are Views, Folded or constants; ``imag`` 0.0 of what was real."""

    real: Value
    imag: Value


def holds(x: Any, *kinds: type) -> bool:
    """Whether arguments hold a value of some kinds."""
    if isinstance(x, dict):
        x = list(x.values())
    return isinstance(x, kinds) or (
        isinstance(x, list | tuple) and any(holds(v, *kinds) for v in x)
    )


Value = Any
"""A View, Folded, Fringed, a complex value, a constant, a string, None, Absent, or a list."""
Handler = Callable[..., Value]
HANDLERS: dict[str, Handler] = {}
"""By ATen's name without overload; called with the call and the arguments in schema order."""


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register the decorated function for ATen operators, such as "conv2d"."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update({name if "." in name else f"aten.{name}": handler for name in names})
        return handler

    return register


def name_of(target: object) -> str:
    """``aten.conv2d`` of ``torch.ops.aten.conv2d.default``."""
    schema = getattr(target, "_schema", None)
    if schema is None:
        return str(getattr(target, "__name__", target))
    return str(schema.name).replace("::", ".")


def arguments(target: Any, args: tuple[Value, ...], keywords: dict[str, Value]) -> list[Value]:
    """All arguments in the order of the schema, with its defaults."""
    result = []
    for i, argument in enumerate(target._schema.arguments):
        if i < len(args):
            result.append(args[i])
        elif argument.name in keywords:
            result.append(keywords[argument.name])
        else:
            result.append(argument.default_value if argument.has_default_value() else None)
    return result


def pair(value: Any) -> tuple[int, int]:
    """Two numbers from ATen's list of one or two."""
    numbers = [int(v) for v in value] if isinstance(value, list | tuple | torch.Size) else [value]
    if len(numbers) == 1:
        numbers *= 2
    return numbers[0], numbers[1]
