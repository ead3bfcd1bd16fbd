"""Functions of elements, and arithmetic of tensors and constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.importers.export.call import Absent, Call, Value, handles
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.arithmetic import with_constant
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.ops.elementwise import BinaryFunction
from tilewright.compiler.quantized.reductions import Reduction, reduce

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
def maximum(call: Call, a: Any, b: Any = None, keep: bool = False) -> Value:
    """Becomes a maximum of two tensors, a clip, or a maximum over a dimension."""
    if isinstance(b, View | Tensor):
        return _combine(call, "maximum", a, b)
    return _extreme(call, "amax", a, b, keep)


@handles("minimum", "min", "fmin")
def minimum(call: Call, a: Any, b: Any = None, keep: bool = False) -> Value:
    """Becomes a maximum of negated tensors, a clip, or a minimum over a dimension."""
    if isinstance(b, View | Tensor):
        return _combine(call, "minimum", a, b)
    return _extreme(call, "amin", a, b, keep)


def _extreme(call: Call, kind: Reduction, x: Any, dim: int | None, keep: bool) -> Value:
    """Take the extreme over a dimension; nothing may read its index."""
    view = call.tensor(x)
    rank = len(view.shape) + 1
    if dim is None or dim % rank == 0:
        call.refuse(f"a {kind} over the batch", "Take it over dimensions of the images only.")
    result = reduce(call.builder, call.where, view, kind, [dim % rank - 1], keep)
    return [result, Absent(call.where, f"the index of an {kind}")]


@handles("pow", "pow_")
def power(call: Call, a: Any, b: Any) -> Value:
    """Becomes Function."""
    return _combine(call, "pow", a, b)


@handles("addcmul", "addcmul_")
def addcmul(call: Call, x: Any, a: Any, b: Any, value: float) -> Value:
    """Becomes a sum and a product."""
    return _combine(call, "add", x, _scaled(call, _combine(call, "mul", a, b), value))


@handles("lerp", "lerp_")
def lerp(call: Call, a: Any, b: Any, weight: Any) -> Value:
    """Becomes two factors and a sum, or a difference, a product and a sum."""
    if isinstance(weight, View):
        return _combine(call, "add", a, _combine(call, "mul", weight, _combine(call, "sub", b, a)))
    weight = torch.as_tensor(weight)
    return _combine(
        call, "add", _combine(call, "mul", a, 1 - weight), _combine(call, "mul", b, weight)
    )


_HIDDEN = -1e4
_COMPARISONS = {"gt": "gt", "ge": "ge", "lt": "lt", "le": "le", "eq": "eq", "ne": "ne"}


@handles(*_COMPARISONS)
def comparison(call: Call, a: Any, b: Any) -> View:
    """Becomes a table of zeros and ones."""
    if isinstance(b, Tensor) and b.numel() == 1:
        b = float(b)
    if not isinstance(a, View) or not isinstance(b, int | float):
        call.refuse(
            "a comparison of two tensors",
            "Compare one with a number, or compare behind the model's last layer.",
        )
    return _apply(call, a, _COMPARISONS[call.operator.removeprefix("aten.")], float(b))


@handles("logical_not", "bitwise_not")
def logical_not(call: Call, x: Any) -> View:
    """Becomes a difference."""
    return _combine(call, "sub", torch.ones(()), x)  # type: ignore[no-any-return]


@handles("where")
def where(call: Call, condition: Any, a: Any, b: Any) -> Value:
    """Becomes factors of zero and one: constant ones fold, others are tables and products."""
    if isinstance(condition, Tensor):
        condition = condition.double()
        # What is not chosen counts as nothing, even if it is infinite.
        a, b = (
            torch.where(chosen > 0, torch.as_tensor(x).double(), 0.0) if not isinstance(x, View)
            else x for x, chosen in ((a, condition), (b, 1 - condition))
        )  # fmt: skip
    # A softmax takes what hides elements off again.
    a, b = (x if isinstance(x, View) else torch.as_tensor(x).clamp(min=_HIDDEN) for x in (a, b))
    for x in (a, b):
        if not isinstance(x, View) and not bool(x.isfinite().all()):
            call.refuse("infinite values", "Use a number of the size of the others.")
    chosen = _combine(call, "mul", a, condition)
    other = _combine(call, "mul", b, _combine(call, "sub", torch.ones(()).double(), condition))
    return _combine(call, "add", chosen, other)


@handles("masked_fill", "masked_fill_")
def masked_fill(call: Call, x: Any, mask: Any, value: Any) -> Value:
    """Becomes factors of zero and one."""
    result = where(call, mask, torch.as_tensor(value), x)
    return result


@handles("prod")
def product(call: Call, x: Any, dim: Any = None, keep: bool = False, *rest: Any) -> Value:
    """Becomes products of two maps."""
    view = call.tensor(x)
    rank = len(view.shape) + 1
    if dim is None or dim % rank == 0:
        call.refuse("a product over the batch", "Take it over a dimension of the images.")
    axis = dim % rank - 1
    parts = [call.builder.taken(view, [i], axis) for i in range(view.shape[axis])]
    while len(parts) > 1:
        pairs = [
            call.builder.binary(call.where, "mul", *parts[i : i + 2])
            for i in range(0, len(parts) - 1, 2)
        ]
        parts = [*pairs, *parts[2 * len(pairs) :]]
    shape = [n for d, n in enumerate(parts[0].shape) if keep or d != axis]
    return call.builder.reshaped(parts[0], shape)


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
