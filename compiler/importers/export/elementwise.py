"""Functions of elements, and arithmetic of tensors and constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.importers.export.call import Call, Value, handles
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.arithmetic import with_constant
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.ops.elementwise import BinaryFunction

_PLAIN = {
    "abs": "abs", "atan": "atan", "arctan": "atan", "ceil": "ceil", "cos": "cos", "erf": "erf",
    "exp": "exp", "expm1": "expm1", "floor": "floor", "hardsigmoid": "hardsigmoid",
    "hardswish": "hardswish", "log": "log", "log1p": "log1p", "log_sigmoid": "log_sigmoid",
    "mish": "mish", "reciprocal": "reciprocal", "relu": "relu", "round": "round",
    "rsqrt": "rsqrt", "selu": "selu", "sigmoid": "sigmoid", "sign": "sign", "silu": "silu",
    "sin": "sin", "sqrt": "sqrt", "square": "square", "tan": "tan", "tanh": "tanh",
    "trunc": "trunc", "fix": "trunc", "special_expit": "sigmoid",
}  # fmt: skip
_WITH_NUMBERS = {
    "celu": "celu", "hardshrink": "hardshrink", "softplus": "softplus",
    "softshrink": "softshrink", "threshold": "threshold", "leaky_relu": "leaky_relu",
    "elu": "elu",
}  # fmt: skip


def _apply(call: Call, x: Any, function: str, *numbers: float) -> View:
    expression = q.Apply(function, (q.X, *map(float, numbers)))
    return call.builder.function(call.where, call.tensor(x), expression)


@handles(*_PLAIN, *(f"{name}_" for name in _PLAIN))
def plain(call: Call, x: Any, *rest: Any) -> View:
    """Becomes Function."""
    return _apply(call, x, _PLAIN[call.operator.removeprefix("aten.").removesuffix("_")])


@handles(*_WITH_NUMBERS, *(f"{name}_" for name in _WITH_NUMBERS))
def with_numbers(call: Call, x: Any, *numbers: Any) -> View:
    """Becomes Function."""
    name = _WITH_NUMBERS[call.operator.removeprefix("aten.").removesuffix("_")]
    return _apply(call, x, name, *(n for n in numbers if n is not None))


@handles("relu6", "relu6_")
def relu6(call: Call, x: Any) -> View:
    """Becomes a clip."""
    return _apply(call, x, "clamp", 0.0, 6.0)


@handles("gelu", "gelu_")
def gelu(call: Call, x: Any, approximate: str) -> View:
    """Becomes Function."""
    return _apply(call, x, "gelu" if approximate == "none" else "gelu_tanh")


@handles("softsign")
def softsign(call: Call, x: Any) -> View:
    """Becomes Function."""
    below = q.Apply("add", (q.Apply("abs", (q.X,)), 1.0))
    return call.builder.function(call.where, call.tensor(x), q.Apply("div", (q.X, below)))


@handles("rrelu", "rrelu_")
def rrelu(call: Call, x: Any, lower: float, upper: float, *rest: Any) -> View:
    """Becomes Function: in evaluation a leaky ReLU."""
    return _apply(call, x, "leaky_relu", (lower + upper) / 2)


@handles("clamp", "clamp_", "clip", "clip_", "hardtanh", "hardtanh_", "clamp_min", "clamp_max",
         "clamp_min_", "clamp_max_")  # fmt: skip
def clamp(call: Call, x: Any, low: Any, high: Any = None) -> Value:
    """Becomes a clip."""
    if "clamp_max" in call.operator:
        low, high = None, low
    if isinstance(low, View) or isinstance(high, View):
        result = x
        if low is not None:
            result = _combine(call, "maximum", result, low)
        return result if high is None else _combine(call, "minimum", result, high)
    ends = [
        default if v is None else float(v) for v, default in ((low, -math.inf), (high, math.inf))
    ]
    return _apply(call, x, "clamp", *ends)


@handles("prelu", "_prelu_kernel")
def prelu(call: Call, x: Any, weight: Any) -> View:
    """Becomes a table, or with a slope per channel a convolution of x and relu(x)."""
    return call.builder.prelu(call.where, call.tensor(x), call.constant(weight, "a slope"))


@handles("neg", "neg_")
def neg(call: Call, x: Any) -> View:
    """Becomes a factor of -1."""
    return _apply(call, x, "mul", -1.0)


@handles("add", "add_")
def add(call: Call, a: Any, b: Any, alpha: float) -> Value:
    """Becomes an addition, or folds where one is constant."""
    return _combine(call, "add", a, _scaled(call, b, alpha))


@handles("sub", "sub_", "subtract")
def sub(call: Call, a: Any, b: Any, alpha: float) -> Value:
    """Becomes an addition of what is negated, or folds where one is constant."""
    return _combine(call, "sub", a, _scaled(call, b, alpha))


@handles("rsub")
def rsub(call: Call, a: Any, b: Any, alpha: float) -> Value:
    """As sub, the other way round."""
    return _combine(call, "sub", b, _scaled(call, a, alpha))


def _scaled(call: Call, x: Any, alpha: float) -> Any:
    if alpha == 1:
        return x
    return _apply(call, x, "mul", alpha) if isinstance(x, View) else x * alpha


@handles("mul", "mul_", "multiply")
def mul(call: Call, a: Any, b: Any) -> Value:
    """Becomes a product with one factor per channel, or folds where one is constant."""
    return _combine(call, "mul", a, b)


@handles("div", "div_", "divide", "true_divide")
def div(call: Call, a: Any, b: Any, rounding_mode: Any = None) -> Value:
    """Folds where the divisor is constant."""
    if rounding_mode is not None:
        call.refuse(f"a division with rounding_mode={rounding_mode!r}", "Leave the mode out.")
    return _combine(call, "div", a, b)


@handles("maximum", "max", "fmax")
def maximum(call: Call, a: Any, b: Any = None, *rest: Any) -> Value:
    """Becomes a maximum of two tensors, or a clip."""
    if not isinstance(b, View | Tensor):
        call.refuse("a maximum over a dimension with indices", "Use torch.amax.")
    return _combine(call, "maximum", a, b)


@handles("minimum", "min", "fmin")
def minimum(call: Call, a: Any, b: Any = None, *rest: Any) -> Value:
    """Becomes a maximum of negated tensors, or a clip."""
    if not isinstance(b, View | Tensor):
        call.refuse("a minimum over a dimension with indices", "Use torch.amin.")
    return _combine(call, "minimum", a, b)


@handles("pow", "pow_")
def power(call: Call, a: Any, b: Any) -> Value:
    """Becomes Function."""
    return _combine(call, "pow", a, b)


@handles("addcmul", "addcmul_")
def addcmul(call: Call, x: Any, a: Any, b: Any, value: float) -> Value:
    """Becomes a sum and a product."""
    return _combine(call, "add", x, _scaled(call, _combine(call, "mul", a, b), value))


@handles("lerp")
def lerp(call: Call, a: Any, b: Any, weight: Any) -> Value:
    """Becomes two factors and a sum."""
    if isinstance(weight, View):
        call.refuse("an interpolation by a tensor", "Use constant weights.")
    weight = torch.as_tensor(weight)
    return _combine(
        call, "add", _combine(call, "mul", a, 1 - weight), _combine(call, "mul", b, weight)
    )


def _combine(call: Call, function: BinaryFunction, a: Any, b: Any) -> Any:
    """Apply a function to two operands, each a tensor, a constant or a number."""
    if isinstance(a, View) and isinstance(b, View):
        return call.builder.binary(call.where, function, a, b)
    if not isinstance(a, View) and not isinstance(b, View):
        return q.FUNCTIONS[function](torch.as_tensor(a), torch.as_tensor(b))
    x, other = (a, b) if isinstance(a, View) else (b, a)
    assert isinstance(x, View)
    value = torch.as_tensor(other).detach().double()
    shape = np.broadcast_shapes((call.batch, *x.shape), value.shape)[1:]
    if shape != x.shape:
        x = call.builder.move([x], lambda places: np.broadcast_to(places[0], shape))
    value = call.beside(value, tuple(shape))
    return with_constant(call.builder, call.where, function, x, value, isinstance(a, View))
