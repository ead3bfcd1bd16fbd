"""Quantizers and dequantizers: where a tensor gets its grid, and a constant its numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from tilewright.compiler.importers.onnx.call import Call, handles
from tilewright.compiler.importers.onnx.tensors import Array, type_name
from tilewright.compiler.importers.onnx.values import Scaled, Stored, Value
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.types import Quantization

_TYPES = {"int8": (8, True), "uint8": (8, False), "int4": (4, True), "uint4": (4, False)}
_ELEMENT_TYPES = {
    0: "", TensorProto.UINT8: "uint8", TensorProto.INT8: "int8", TensorProto.UINT4: "uint4",
    TensorProto.INT4: "int4",
}  # fmt: skip


@handles("QuantizeLinear", "com.microsoft.QuantizeLinear")
def quantize_linear(call: Call) -> Value:
    """Becomes the grid of what is before it."""
    scale, zero, kind = _parameters(call, 1)
    _precision(call, "precision")
    call.ignore("saturate")  # of 8-bit floats only
    declared = _element_type(call, "output_dtype")
    kind = declared or kind
    if kind not in _TYPES:
        call.refuse(
            f"integers of the type {kind or 'uint8 by default'}",
            "Quantize to int8, uint8, int4 or uint4.",
        )
    bits, signed = _TYPES[kind]
    axis = call.integer("axis", 1)
    x = call.value(0)
    if isinstance(x, View):
        return Stored(x, grid_of(call, scale, zero, bits, signed), bits, signed)
    real, ends = call.constant(0, "a tensor to quantize"), Quantization(1.0, 0, bits, signed)
    steps = _steps(call, real, _along(call, scale, axis, real.ndim))
    integers = np.rint(steps) + _along(call, zero, axis, real.ndim)
    return np.asarray(integers.clip(ends.qmin, ends.qmax).astype(np.int8 if signed else np.uint8))


@handles("DequantizeLinear", "com.microsoft.DequantizeLinear")
def dequantize_linear(call: Call) -> Value:
    """Becomes nothing behind a quantizer, and a constant of a constant."""
    scale, zero, _ = _parameters(call, 1)
    _element_type(call, "output_dtype", floats=True)
    return dequantized(call, call.value(0), scale, zero, call.integer("axis", 1))


def dequantized(call: Call, x: Value, scale: Array, zero: Array, axis: int = 1) -> Value:
    """Return the reals that integers stand for."""
    if isinstance(x, Stored):
        grid = grid_of(call, scale, zero, x.bits, x.signed)
        if x.grid is not None and (x.grid.scale, x.grid.zero_point) != (
            grid.scale,
            grid.zero_point,
        ):
            call.refuse(
                f"the scale {grid.scale:g} and zero point {grid.zero_point} of integers that were "
                f"quantized with {x.grid.scale:g} and {x.grid.zero_point}",
                "Dequantize with what was quantized with.",
            )
        return call.builder.quantized(call.where, x.view, x.grid or grid)
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "iu":
        call.refuse(f"{call.operator} of what is no integer", "Check the model.")
    if scale.ndim and scale.size > 1:
        axis = axis % max(1, x.ndim)
        if scale.size != x.shape[axis]:
            call.refuse(
                f"{scale.size} scales along axis {axis} of {x.shape}", "Give one for each index."
            )
    else:
        scale = scale.reshape(())
    integers = x.astype(np.int64) - _along(call, zero, axis, x.ndim).astype(np.int64)
    return Scaled(integers, scale.astype(np.float64), axis)


@handles("qonnx.custom_op.general.Quant", "onnx.brevitas.Quant", "finn.custom_op.general.Quant")
def quant(call: Call) -> Value:
    """Becomes a grid, or of a constant the numbers on it: QONNX's quantizer and dequantizer."""
    scale, zero = (call.constant(i, "a scale").astype(np.float64) for i in (1, 2))
    check_scale(call, scale)
    bits = float(call.constant(3, "a bit width").reshape(-1)[0])
    signed, narrow = bool(call.integer("signed", 1)), bool(call.integer("narrow", 0))
    rounding = call.text("rounding_mode", "ROUND").upper()
    if rounding not in ("ROUND", "HALF_EVEN") or bits != int(bits) or not 2 <= bits <= 32:
        call.refuse(
            f"Quant to {bits:g} bits by {rounding}", "Use 2 to 8 bits, and rounding_mode ROUND."
        )
    low = -(1 << (int(bits) - 1)) + narrow if signed else 0
    high = (1 << (int(bits) - 1)) - 1 if signed else (1 << int(bits)) - 1 - narrow
    x = call.value(0)
    if isinstance(x, View):
        if scale.size != 1 or zero.size != 1 or not low <= zero.reshape(-1)[0] <= high:
            call.refuse("scales or a zero point of a feature map", "Use one of each per tensor.")
        grid = Quantization(
            float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0]), int(bits), signed, low, high
        )
        return call.builder.quantized(call.where, x, grid)
    steps = _steps(call, call.constant(0, "a tensor"), scale)
    integers = np.rint(steps + zero).clip(low, high) - zero
    if bits > 8:  # a bias
        result: Array = integers * scale
        return result
    axes = [i for i, n in enumerate(scale.shape) if n > 1]
    if len(axes) > 1:
        call.refuse(f"scales of the shape {scale.shape}", "Use one per output channel.")
    return Scaled(
        integers.astype(np.int64), scale.reshape(-1 if axes else ()), axes[0] if axes else 0
    )


def _steps(call: Call, real: Array, scale: Array) -> Array:
    """Return a constant in steps of its grid.

    The division is one of float32, as in onnxruntime and in QONNX's own conversion: of weights that
    were integers of another grid before, some are ties, which float64 sees on one side.
    """
    if not np.isfinite(real).all():
        call.refuse("a constant that is not finite", "Check the model's weights.")
    with np.errstate(over="ignore"):  # beyond any integer, and clipped
        narrow = scale.astype(np.float32)
        check_scale(call, narrow)
        result: Array = real.astype(np.float32) / narrow
    return result


def quantized(call: Call, view: View, scale: Array, zero: Array, kind: str) -> Stored:
    """Return integers of a tensor that an operator of integers writes."""
    if kind not in _TYPES:
        call.refuse(f"integers of the type {kind}", "Quantize to int8 or uint8.")
    bits, signed = _TYPES[kind]
    return Stored(view, grid_of(call, scale, zero, bits, signed), bits, signed)


def grid_of(call: Call, scale: Array, zero: Array, bits: int, signed: bool) -> Quantization:
    """Return the grid of a feature map."""
    if scale.size != 1:
        call.refuse(
            f"{scale.size} scales of a feature map", "Use one scale per tensor for activations."
        )
    return Quantization(float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0]), bits, signed)


def narrowed(call: Call, x: Stored, low: int, high: int) -> Stored:
    """Return integers clipped to ``low..high``: of fewer bits, or of a narrow range."""
    if x.grid is None:
        call.refuse("a clip of the model's integer input", "Clip behind a quantizer.")
    low, high = max(low, x.grid.qmin), min(high, x.grid.qmax)
    zero = x.grid.zero_point
    if not low <= zero <= high:
        call.refuse(
            f"a clip to {low}..{high} without the zero point {zero}",
            "Clip to a range that has it, or clip the floats.",
        )
    bits = x.grid.bits
    while bits > 2 and _holds(bits - 1, x.grid.signed, low, high):
        bits -= 1
    return replace(x, grid=Quantization(x.grid.scale, zero, bits, x.grid.signed, low, high))


def _holds(bits: int, signed: bool, low: int, high: int) -> bool:
    least = -(1 << (bits - 1)) if signed else 0
    return least <= low and high < least + (1 << bits)


def _parameters(call: Call, place: int) -> tuple[Array, NDArray[np.int64], str]:
    """Scale and zero point of a quantizer, and the type of integers that the latter has."""
    if call.integer("block_size", 0):
        call.refuse("scales of blocks", "Use one scale per tensor or per output channel.")
    scale = call.constant(place, "a scale").astype(np.float64)
    given = call.value(place + 1)
    zero: Any = np.zeros(scale.shape, np.int64)
    kind = "uint8"
    if given is not None:
        zero = call.constant(place + 1, "a zero point")
        kind = integer_type(call, place + 1, zero)
    check_scale(call, scale)
    if zero.size not in (1, scale.size):
        call.refuse(f"{zero.size} zero points for {scale.size} scales", "Give each scale one.")
    return scale, zero, kind


def integer_type(call: Call, place: int, array: Array) -> str:
    """Return the element type of a constant; 4-bit integers are kept in bytes."""
    tensor = call.model.initializers.get(call.node.input[place])
    return str(array.dtype) if tensor is None else type_name(tensor.data_type)


def check_scale(call: Call, scale: Array) -> None:
    """Refuse scales that are none."""
    if not scale.size or not (np.isfinite(scale).all() and (scale > 0).all()):
        call.refuse("a scale that is not finite and positive", "Calibrate on representative data.")


def _along(call: Call, values: Array, axis: int, rank: int) -> Array:
    """Return values per channel so that they broadcast."""
    if values.size == 1:
        return values.reshape(())
    if not -rank <= axis < rank:
        call.refuse(f"scales along axis {axis} of {rank}", "Check the model.")
    shape = [1] * rank
    shape[axis] = values.size
    return values.reshape(shape)


def _element_type(call: Call, name: str, floats: bool = False) -> str:
    kind = call.integer(name, 0)
    allowed = {0: "", TensorProto.FLOAT: "float"} if floats else _ELEMENT_TYPES
    if kind not in allowed:
        call.refuse(f"{call.operator} with {name}={kind}", "Use float32 and 8-bit integers.")
    return allowed[kind]


def _precision(call: Call, name: str) -> None:
    if call.integer(name, 0) not in (0, TensorProto.FLOAT):
        call.refuse(f"{call.operator} with {name}", "Quantize in float32.")
