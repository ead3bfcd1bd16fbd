"""Operators that work element by element."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from tilewright.compiler.quantized.ops.base import Op
from tilewright.compiler.quantized.types import Quantization, Shape


@dataclass(frozen=True)
class Argument:
    """The tensor that a function is applied to."""

    def __str__(self) -> str:
        return "x"


@dataclass(frozen=True)
class Apply:
    """A function of expressions, by its name in FUNCTIONS."""

    function: str
    arguments: tuple[Expression, ...]

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.arguments))})"


Expression: TypeAlias = Argument | Apply | float
X = Argument()

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "abs": torch.abs,
    "add": operator.add,
    "atan": torch.atan,
    "celu": F.celu,
    "clamp": lambda x, low, high: x.clamp(low, high),
    "cos": torch.cos,
    "div": operator.truediv,
    "elu": lambda x, alpha, scale, slope: (
        torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0) * slope)) * scale
    ),
    "erf": torch.erf,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    **{
        name: functools.partial(lambda compare, a, b: _ordered(compare, a, b), compare)
        for name, compare in (
            ("eq", torch.eq),
            ("ge", torch.ge),
            ("gt", torch.gt),
            ("le", torch.le),
            ("lt", torch.lt),
            ("ne", torch.ne),
        )
    },
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "hardshrink": F.hardshrink,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "leaky_relu": F.leaky_relu,
    "log": torch.log,
    "log1p": torch.log1p,
    "log_sigmoid": F.logsigmoid,
    "maximum": lambda a, b: torch.maximum(*_both(a, b)),
    "minimum": lambda a, b: torch.minimum(*_both(a, b)),
    "mish": F.mish,
    "mul": operator.mul,
    "pow": operator.pow,
    "reciprocal": torch.reciprocal,
    "relu": F.relu,
    "rsqrt": torch.rsqrt,
    "selu": F.selu,
    "sigmoid": torch.sigmoid,
    "sign": torch.sign,
    "silu": F.silu,
    "sin": torch.sin,
    "softplus": F.softplus,
    "softshrink": F.softshrink,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "sub": operator.sub,
    "tan": torch.tan,
    "tanh": torch.tanh,
    "threshold": F.threshold,
    "trunc": torch.trunc,
}
"""Functions of elements, on tensors; operands of the binary ones may be numbers."""


def _ordered(compare: Callable[..., Tensor], a: Tensor | float, b: Tensor | float) -> Tensor:
    """Zeros and ones, of the operands' type."""
    first, second = _both(a, b)
    return compare(first, second).to(first)


def _both(a: Tensor | float, b: Tensor | float) -> tuple[Tensor, Tensor]:
    like = a if isinstance(a, Tensor) else b
    assert isinstance(like, Tensor)
    return torch.as_tensor(a).to(like), torch.as_tensor(b).to(like)


def evaluate(expression: Expression, x: Tensor) -> Tensor | float:
    """Compute an expression for the argument ``x``."""
    match expression:
        case Argument():
            return x
        case Apply(function, arguments):
            values = [evaluate(a, x) for a in arguments]
            if not any(isinstance(v, Tensor) for v in values):
                return float(FUNCTIONS[function](*(torch.tensor(v) for v in values)))
            return FUNCTIONS[function](*values)
        case _:
            return expression


def substitute(expression: Expression, inner: Expression) -> Expression:
    """``expression`` of ``inner`` of x."""
    match expression:
        case Argument():
            return inner
        case Apply(function, arguments):
            return Apply(function, tuple(substitute(a, inner) for a in arguments))
        case _:
            return expression


def bounds(expression: Expression) -> tuple[float, float] | None:
    """Return the range that a function clips to, if that is all it does."""
    match expression:
        case Argument():
            return -math.inf, math.inf
        case Apply("relu", (inner,)):
            low, high = 0.0, math.inf
        case Apply("clamp", (inner, float(low), float(high))):
            pass
        case _:
            return None
    within = bounds(inner)
    if within is None:
        return None
    return min(max(within[0], low), high), min(max(within[1], low), high)


def line(expression: Expression) -> tuple[float, float] | None:
    """Return (a, b) of a function that is ``a * x + b``, else None."""
    match expression:
        case Argument():
            return 1.0, 0.0
        case Apply("add" | "sub" | "mul" | "div" as function, (left, right)):
            p, q = line(left), line(right)
            if p is None or q is None:
                return None
            match function:
                case "add":
                    return p[0] + q[0], p[1] + q[1]
                case "sub":
                    return p[0] - q[0], p[1] - q[1]
                case "mul" if p[0] == 0 or q[0] == 0:
                    return p[0] * q[1] + q[0] * p[1], p[1] * q[1]
                case "div" if q[0] == 0 and q[1] != 0:
                    return p[0] / q[1], p[1] / q[1]
            return None
        case Apply():
            return None
        case _:
            return 0.0, float(expression)


@dataclass(frozen=True, eq=False)
class Function(Op):
    """A function of one tensor, element by element: a clip of ranges, or a table.

    Parameters
    ----------
    expression : of x
    """

    expression: Expression

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Apply the function."""
        result = evaluate(self.expression, inputs[0])
        if not isinstance(result, Tensor):
            return torch.full_like(inputs[0], result)
        return result


@dataclass(frozen=True, eq=False)
class Table(Op):
    """A result for every integer of the input, which is on a grid that is known.

    Parameters
    ----------
    values : (2 ** bits,) float64, from the lowest integer up
    scale, zero_point, signed : of the input's grid
    """

    values: Tensor
    scale: float
    zero_point: int
    signed: bool

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Look up."""
        lowest = -(len(self.values) // 2) if self.signed else 0
        places = torch.round(inputs[0].double() / self.scale) + self.zero_point - lowest
        return self.values[places.long().clamp(0, len(self.values) - 1)].to(inputs[0].dtype)


@dataclass(frozen=True, eq=False)
class Affine(Op):
    """``scale[c] * x + offset[c]``: a batch norm, or constants per channel; both (C,) float64."""

    scale: Tensor
    offset: Tensor

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Scale and shift."""
        (x,) = inputs
        column = (slice(None), None, None)
        return x * self.scale.to(x.dtype)[column] + self.offset.to(x.dtype)[column]


@dataclass(frozen=True, eq=False)
class Balance(Op):
    """Any factor for each group of channels: what follows takes their sizes out again.

    ``groups``: that have one factor each, of equal numbers of channels
    """

    groups: int

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Scale by one."""
        return inputs[0]


@dataclass(frozen=True, eq=False)
class Regularized(Op):
    """Mean squares of what a Balance gives, a channel for each group, and a little more.

    Parameters
    ----------
    balance : the Balance's output, which is no input
    eps : the little, where its factors are one
    """

    balance: str
    eps: float

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Add."""
        return inputs[0] + self.eps


BinaryFunction: TypeAlias = Literal["add", "sub", "mul", "div", "maximum", "minimum", "pow"]


@dataclass(frozen=True, eq=False)
class Binary(Op):
    """A function of two tensors of one shape; of a product, one may have one pixel or one channel.

    Parameters
    ----------
    shared : grid on which the operands of a sum are put before, if the network says one
    scale : (C,) float64, what the channels of a product are multiplied by too, if not by one
    """

    function: BinaryFunction
    shared: Quantization | None = None
    scale: Tensor | None = None

    @property
    def keeps_grid(self) -> bool:  # type: ignore[override]
        """Whether the output has values of the inputs."""
        return self.function == "maximum"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        a, b = inputs
        return a if math.prod(a) >= math.prod(b) else b

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Apply the function."""
        if self.shared is not None:
            inputs = tuple(self.shared.apply(x) for x in inputs)
        result = FUNCTIONS[self.function](*inputs)
        return result if self.scale is None else result * self.scale.to(result)[:, None, None]
