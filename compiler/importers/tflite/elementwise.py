"""Operators of one or two tensors, element by element."""

from __future__ import annotations

from tilewright.compiler.importers.tflite.call import Call, grid_of, within
from tilewright.compiler.quantized.graph import View


def add(call: Call) -> View:
    """ADD: two tensors of one shape, each on its own grid."""
    if call.is_constant(0) or call.is_constant(1):
        call.refuse("an addition of a constant", "Add it to the bias of the layer before.")
    a, b = call.view(0), call.view(1)
    if a.shape != b.shape:
        call.refuse(f"an addition of {a.shape} and {b.shape}", "Give both operands one shape.")
    y = call.builder.binary(call.where, "add", a, b)
    return call.quantized(y)


def relu(call: Call) -> View:
    """RELU: what is negative becomes zero."""
    return call.quantized(call.view(0), within(call.grid, 0.0, None))


def relu6(call: Call) -> View:
    """RELU6: clipped to 0..6."""
    return call.quantized(call.view(0), within(call.grid, 0.0, 6.0))


def relu_n1_to_1(call: Call) -> View:
    """RELU_N1_TO_1: clipped to -1..1."""
    return call.quantized(call.view(0), within(call.grid, -1.0, 1.0))


def quantize(call: Call) -> View:
    """QUANTIZE: floats of an input, or integers of another grid."""
    return call.quantized(call.view(0), call.grid)


def dequantize(call: Call) -> View:
    """DEQUANTIZE: behind the last layer; results have their scale anyway."""
    if call.op.outputs[0] not in call.file.outputs or any(
        call.op.outputs[0] in op.inputs for op in call.file.operators
    ):
        call.refuse("a tensor in floats inside the network", "Convert all of it to int8.")
    grid_of(call.where, call.tensor(0))
    return call.view(0)
