"""Operators of integers: what they compute is a quantizer behind the operator of reals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tilewright.compiler.importers.onnx.call import Call, handles
from tilewright.compiler.importers.onnx.elementwise import apply, combine
from tilewright.compiler.importers.onnx.movement import moved
from tilewright.compiler.importers.onnx.quantizers import (
    check_scale,
    dequantized,
    integer_type,
    quantized,
)
from tilewright.compiler.importers.onnx.tensors import Array
from tilewright.compiler.importers.onnx.values import Scaled, Stored, Value
from tilewright.compiler.importers.onnx.weighted import convolved, multiplied
from tilewright.compiler.importers.onnx.windows import averaged
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.reductions import reduce


def _real(call: Call, place: int, scale: int, axis: int = 0) -> Value:
    """Return the reals of an operand, its scale and zero point at ``scale`` and behind it."""
    s, zero = _scale(call, scale)
    return dequantized(call, call.value(place), s, zero, axis)


def _scale(call: Call, place: int) -> tuple[Array, Array]:
    scale = call.constant(place, "a scale").astype(np.float64)
    check_scale(call, scale)
    zero = call.optional(place + 1, "a zero point")
    if zero is None:
        return scale, np.zeros(scale.shape, np.uint8)
    if zero.size not in (1, scale.size):
        call.refuse(f"{zero.size} zero points for {scale.size} scales", "Give each scale one.")
    return scale, zero


def _stored(call: Call, x: Value, place: int) -> Stored:
    """Return integers on the grid that the node gives its result."""
    scale, zero = _scale(call, place)
    kind = integer_type(call, place + 1, zero) if call.value(place + 1) is not None else "uint8"
    return quantized(call, call.view(x), scale, zero, kind)


def _view(call: Call, place: int, scale: int) -> View:
    return call.view(_real(call, place, scale))


@handles("QLinearConv")
def qlinear_conv(call: Call) -> Value:
    """Becomes Conv and a grid."""
    x, w = _real(call, 0, 1), _real(call, 3, 4, axis=0)
    bias = call.optional(8, "a bias")
    if bias is not None and isinstance(w, Scaled):
        bias = bias * (call.constant(1, "a scale").astype(np.float64) * w.scale)
    return _stored(call, convolved(call, call.view(x), w, bias), 6)


@handles("QLinearMatMul")
def qlinear_matmul(call: Call) -> Value:
    """Becomes Linear and a grid."""
    return _stored(call, multiplied(call, _real(call, 0, 1), _real(call, 3, 4, axis=1), None), 6)


@handles("com.microsoft.QGemm")
def qgemm(call: Call) -> Value:
    """Becomes Linear and a grid."""
    if call.integer("transA", 0) or call.number("alpha", 1.0) != 1:
        call.refuse("QGemm with transA or alpha", "Keep the batch first, and fold alpha.")
    turned = bool(call.integer("transB", 0))
    w = _real(call, 3, 4, axis=0 if turned else 1)
    if turned and isinstance(w, Scaled):
        w = Scaled(w.integers.T, w.scale, 1)
    bias = call.optional(6, "a bias")
    if bias is not None and isinstance(w, Scaled):
        bias = bias * (call.constant(1, "a scale").astype(np.float64) * w.scale)
    if call.value(7) is None:
        call.refuse("QGemm whose result is float", "Give it a scale and a zero point.")
    return _stored(call, multiplied(call, _real(call, 0, 1), w, bias), 7)


@handles("com.microsoft.QLinearAdd", "com.microsoft.QLinearMul")
def qlinear_binary(call: Call) -> Value:
    """Becomes a sum or a product and a grid."""
    function = "add" if call.operator == "QLinearAdd" else "mul"
    result = combine(call, function, _real(call, 0, 1), _real(call, 3, 4))  # type: ignore[arg-type]
    return _stored(call, result, 6)


@handles("com.microsoft.QLinearSigmoid")
def qlinear_sigmoid(call: Call) -> Value:
    """Becomes a table."""
    return _stored(call, apply(call, _view(call, 0, 1), "sigmoid"), 3)


@handles("com.microsoft.QLinearLeakyRelu")
def qlinear_leaky_relu(call: Call) -> Value:
    """Becomes a table."""
    alpha = call.number("alpha", 0.01)
    return _stored(call, apply(call, _view(call, 0, 1), "leaky_relu", alpha), 3)


@handles("com.microsoft.QLinearAveragePool")
def qlinear_average_pool(call: Call) -> Value:
    """Becomes AvgPool and a grid."""
    _channels_first(call)
    return _stored(call, averaged(call, _view(call, 0, 1)), 3)


@handles("com.microsoft.QLinearGlobalAveragePool")
def qlinear_global_average_pool(call: Call) -> Value:
    """Becomes AvgPool and a grid."""
    _channels_first(call)
    x = _view(call, 0, 1)
    return _stored(
        call, reduce(call.builder, call.where, x, "mean", range(1, len(x.shape)), True), 3
    )


@handles("com.microsoft.QLinearConcat")
def qlinear_concat(call: Call) -> Value:
    """Becomes a view of tensors on one grid."""
    views = [_view(call, place, place + 1) for place in range(2, len(call.inputs), 3)]
    axis = call.axis(call.integer("axis", 0), len(views[0].shape) + 1) + 1
    own = replace(call, inputs=views)
    return _stored(call, moved(own, views, lambda places: np.concatenate(places, axis)), 0)


def _channels_first(call: Call) -> None:
    if call.integer("channels_last", 0):
        call.refuse(f"{call.operator} with channels_last=1", "Export with channels first.")
