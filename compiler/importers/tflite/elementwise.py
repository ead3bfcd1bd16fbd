"""Operators of one or two tensors, element by element."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tilewright.compiler.importers.tflite.call import Call, float64, grid_of, within
from tilewright.compiler.importers.tflite.movement import same_grid
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.ops.elementwise import BinaryFunction
from tilewright.compiler.quantized.types import Quantization


def add(call: Call) -> View:
    """ADD: two tensors, each on its own grid, one of which may be constant."""
    return _binary(call, "add")


def sub(call: Call) -> View:
    """SUB: two tensors, each on its own grid, one of which may be constant."""
    return _binary(call, "sub")


def mul(call: Call) -> View:
    """MUL: two tensors, each on its own grid, one of which may be constant."""
    return _binary(call, "mul")


def maximum(call: Call) -> View:
    """MAXIMUM: two tensors on one grid, which is the result's."""
    same_grid(call, 0, 1)
    return call.quantized(_of_two(call, "maximum"), call.grid)


def minimum(call: Call) -> View:
    """MINIMUM: the maximum of integers counted down, on one grid, which is the result's."""
    same_grid(call, 0, 1)
    shape, grid = call.broadcast(), call.grid
    turned = replace(grid, zero_point=-1 - grid.zero_point)
    own = replace(call, where=f"{call.where}.turned")
    operands = [_turned(own, call.map(place, shape), grid, turned) for place in (0, 1)]
    most = call.builder.binary(own.where, "maximum", *operands)
    return _turned(call, own.quantized(most, turned), turned, grid)


def _turned(call: Call, x: View, own: Quantization, grid: Quantization) -> View:
    """Return -1 - i for every integer i of a tensor, which is on the grid ``own``."""
    values = float64(-(np.arange(-128, 128) - own.zero_point) * own.scale)
    return call.quantized(call.builder.table(call.where, x, own, values), grid)


def _binary(call: Call, function: BinaryFunction) -> View:
    return call.quantized(_of_two(call, function))


def _of_two(call: Call, function: BinaryFunction) -> View:
    shape = call.broadcast()
    if call.is_constant(0) and call.is_constant(1):
        call.refuse(f"{call.op.kind} of constants", "Fold it.")
    operands = [call.map(place, shape) for place in (0, 1)]
    return call.builder.binary(call.where, function, *operands)


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
