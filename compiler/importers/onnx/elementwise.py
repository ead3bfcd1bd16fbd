"""Functions of elements, and arithmetic of tensors and constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.importers.onnx.call import Call, handles, real_of
from tilewright.compiler.importers.onnx.quantizers import narrowed
from tilewright.compiler.importers.onnx.values import Scaled, Stored, Value
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.arithmetic import with_constant
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.ops.elementwise import BinaryFunction
from tilewright.compiler.quantized.types import Quantization

_PLAIN = {
    "Abs": "abs", "Atan": "atan", "Ceil": "ceil", "Cos": "cos", "Erf": "erf", "Exp": "exp",
    "Floor": "floor", "HardSwish": "hardswish", "Log": "log", "Mish": "mish",
    "Reciprocal": "reciprocal", "Relu": "relu", "Round": "round", "Sigmoid": "sigmoid",
    "Sign": "sign", "Sin": "sin", "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh",
}  # fmt: skip


def apply(call: Call, x: View, function: str, *numbers: float) -> View:
    """Apply a function of elements."""
    return call.builder.function(call.where, x, q.Apply(function, (q.X, *numbers)))


@handles(*_PLAIN)
def plain(call: Call) -> View:
    """Becomes Function."""
    return apply(call, call.tensor(0), _PLAIN[call.operator])


@handles("Neg")
def neg(call: Call) -> View:
    """Becomes a factor of -1."""
    return apply(call, call.tensor(0), "mul", -1.0)


@handles("LeakyRelu")
def leaky_relu(call: Call) -> View:
    """Becomes Function."""
    return apply(call, call.tensor(0), "leaky_relu", call.number("alpha", 0.01))


@handles("Elu", "Celu")
def elu(call: Call) -> View:
    """Becomes Function."""
    alpha = call.number("alpha", 1.0)
    slope = 1.0 if call.operator == "Elu" else 1 / alpha
    return apply(call, call.tensor(0), "elu", alpha, 1.0, slope)


@handles("Selu")
def selu(call: Call) -> View:
    """Becomes Function."""
    alpha = call.number("alpha", 1.67326319217681884765625)
    gamma = call.number("gamma", 1.05070102214813232421875)
    return apply(call, call.tensor(0), "elu", alpha, gamma, 1.0)


@handles("HardSigmoid")
def hard_sigmoid(call: Call) -> View:
    """Becomes a line and a clip."""
    alpha, beta = call.number("alpha", 0.2), call.number("beta", 0.5)
    line = q.Apply("add", (q.Apply("mul", (q.X, alpha)), beta))
    return call.builder.function(call.where, call.tensor(0), q.Apply("clamp", (line, 0.0, 1.0)))


@handles("ThresholdedRelu")
def thresholded_relu(call: Call) -> View:
    """Becomes Function."""
    return apply(call, call.tensor(0), "threshold", call.number("alpha", 1.0), 0.0)


@handles("Softplus")
def softplus(call: Call) -> View:
    """Becomes Function."""
    return apply(call, call.tensor(0), "softplus", 1.0, 40.0)


@handles("Softsign")
def softsign(call: Call) -> View:
    """Becomes Function."""
    below = q.Apply("add", (q.Apply("abs", (q.X,)), 1.0))
    return call.builder.function(call.where, call.tensor(0), q.Apply("div", (q.X, below)))


@handles("Swish", "com.microsoft.QuickGelu")
def swish(call: Call) -> View:
    """Becomes Function."""
    alpha = call.number("alpha", 1.0 if call.operator == "Swish" else 1.702)
    gate = q.Apply("sigmoid", (q.Apply("mul", (q.X, alpha)),))
    return call.builder.function(call.where, call.tensor(0), q.Apply("mul", (q.X, gate)))


@handles("Gelu", "com.microsoft.Gelu")
def gelu(call: Call) -> View:
    """Becomes Function."""
    approximate = call.text("approximate", "none")
    if approximate not in ("none", "tanh"):
        call.refuse(f"Gelu with approximate={approximate!r}", "Use none or tanh.")
    return apply(call, call.tensor(0), "gelu" if approximate == "none" else "gelu_tanh")


@handles("Clip")
def clip(call: Call) -> Value:
    """Becomes a clip; of integers, a grid of fewer bits or a narrow range."""
    low, high = call.optional(1, "a bound"), call.optional(2, "a bound")
    for bound in (low, high):
        if bound is not None and bound.size != 1:
            call.refuse(f"Clip by {bound.size} numbers", "Clip by one.")
    value = call.value(0)
    ends = [
        default if b is None else float(b.reshape(-1)[0])
        for b, default in ((low, -math.inf), (high, math.inf))
    ]
    if isinstance(value, Stored):
        least, most = (int(max(-256, min(256, e))) for e in ends)
        return narrowed(call, value, least, most)
    return apply(call, call.tensor(0), "clamp", *ends)


@handles("PRelu")
def prelu(call: Call) -> View:
    """Becomes a table, or with a slope per channel a convolution of x and relu(x)."""
    x, slope = call.tensor(0), call.constant(1, "a slope")
    if slope.size > 1 and slope.size != x.shape[0]:
        call.refuse(f"{slope.size} slopes for {x.shape[0]} channels", "Give each channel one.")
    if slope.size > 1 and call.model.quantized:
        call.refuse("PRelu with slopes that differ, of a quantized network", "Use one slope.")
    return call.builder.prelu(call.where, x, torch.from_numpy(slope.astype(np.float64)))


_BINARY: dict[str, BinaryFunction] = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Pow": "pow", "Max": "maximum",
    "Min": "minimum",
}  # fmt: skip


@handles(*_BINARY, "Sum")
def binary(call: Call) -> Value:
    """Becomes a sum, a product or a maximum, or folds where one operand is constant."""
    function = _BINARY.get(call.operator, "add")
    result = call.value(0)
    for other in call.inputs[1:]:
        result = combine(call, function, result, other)
    return result


def combine(call: Call, function: BinaryFunction, a: Value, b: Value) -> Value:
    """Apply a function to two operands, one of them a feature map."""
    if isinstance(a, View) and isinstance(b, View):
        shape = np.broadcast_shapes((1, *a.shape), (1, *b.shape))
        call.check_shape(shape[1:])
        if len(a.shape) != len(b.shape):
            call.refuse(
                f"{call.operator} of {('N', *a.shape)} and {('N', *b.shape)}",
                "Give both the same number of dimensions.",
            )
        return call.builder.binary(call.where, function, a, b)
    x, other = (a, b) if isinstance(a, View) else (b, a)
    if not isinstance(x, View) or other is None or isinstance(other, View | Stored):
        call.refuse(f"{call.operator} of integers", "Put DequantizeLinear before it.")
    value: Any = real_of(other)
    shape = call.check_shape(np.broadcast_shapes((1, *x.shape), value.shape)[1:])
    if np.broadcast_shapes((1, *x.shape), value.shape)[0] != 1:
        call.refuse("a constant that differs from image to image", "Give all images the same.")
    if shape != x.shape:
        x = call.builder.move([x], lambda places: np.broadcast_to(places[0], shape))
    full = torch.from_numpy(np.broadcast_to(value, (1, *shape))[0].astype(np.float64))
    if isinstance(other, Scaled) and not _folds(function, full):
        if function == "sub" and x is a:
            function, full = "add", -full
            other = Scaled(-other.integers, other.scale, other.axis)
        operands = [x, _map_of(call, other, full)]
        return call.builder.binary(call.where, function, *operands[:: 1 if x is a else -1])
    return with_constant(call.builder, call.where, function, x, full, isinstance(a, View))


def _folds(function: BinaryFunction, values: Tensor) -> bool:
    """Whether constants become a table, or factors of channels, which are exact."""
    rows = values.reshape(len(values), -1)
    one, channels = (rows == rows[0, 0]).all(), (rows == rows[:, :1]).all()
    return bool(one) or function == "pow" or (bool(channels) and function in ("mul", "div"))


def _map_of(call: Call, constant: Scaled, full: Tensor) -> View:
    """Return a constant as a feature map, on the grid on which the file has it."""
    low, high = int(constant.integers.min()), int(constant.integers.max())
    if constant.scale.ndim or high - low > 255:
        call.refuse(
            "a constant that differs from pixel to pixel, with scales for channels",
            "Quantize it to 8 bits with one scale.",
        )
    zero = 127 - high if high > 127 else -128 - low if low < -128 else 0
    grid = Quantization(float(constant.scale), zero, 8, True)
    view = call.builder.constant(f"{call.where}.constant", full, full.shape)
    return call.builder.quantized(f"{call.where}.constant", view, grid)
