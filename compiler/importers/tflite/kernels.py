"""The reference kernels' integers as standard operators of ONNX, for the host.

Operands come as reals on a grid; every step is exact, in 64-bit integers.

Source: ``reference_ops`` and ``reference_integer_ops`` of TensorFlow Lite.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from tilewright.compiler.importers.tflite.call import Call, grid_of
from tilewright.compiler.importers.tflite.windows import kernel_of, padding, stride
from tilewright.compiler.quantized.fixed_point import (
    FIRST_ROUNDING,
    mean_multiplier,
    multiplier_of,
)
from tilewright.compiler.quantized.types import Quantization

Constants = MutableMapping[str, "np.generic | NDArray[Any]"]
_FRACTION = 10
"""Bits of a place between two pixels."""


class Emitter:
    """Collects nodes of one operator.

    Parameters
    ----------
    call : of the file
    name : of its result; of all that is made on the way with a number behind it
    constants : of the model, to which its own are added
    """

    def __init__(self, call: Call, name: str, constants: Constants) -> None:
        self.call, self.name, self.constants = call, name, constants
        self.nodes: list[NodeProto] = []

    def op(self, kind: str, *inputs: str | NDArray[Any], **attributes: Any) -> str:
        """Append a node; returns its result's name."""
        names = [self.named(value) for value in inputs]
        result = f"{self.name}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [result], **attributes))
        return result

    def named(self, value: str | NDArray[Any]) -> str:
        """Return a value's name, of a constant a new one."""
        if isinstance(value, str):
            return value
        name = f"{self.name}.constant{len(self.constants)}"
        self.constants[name] = value
        return name

    def integers(self, x: str, grid: Quantization) -> str:
        """Return the integers of reals on a grid, zero point included."""
        steps = self.op("Round", self.op("Div", x, np.array(grid.scale, np.float32)))
        return self.op(
            "Add", self.op("Cast", steps, to=TensorProto.INT64), _integer(grid.zero_point)
        )

    def finished(self, integers: str, grid: Quantization) -> list[NodeProto]:
        """Return all nodes; the result has the reals of ``integers``, clipped to ``grid``."""
        least, most = _integer(grid.qmin), _integer(grid.qmax)
        clipped = self.op("Max", self.op("Min", integers, most), least)
        own = self.op("Sub", clipped, _integer(grid.zero_point))
        floats = self.op("Cast", own, to=TensorProto.FLOAT)
        scale = self.named(np.array(grid.scale, np.float32))
        self.nodes.append(helper.make_node("Mul", [floats, scale], [self.name]))
        return self.nodes

    def divided(self, x: str, divisor: NDArray[np.int64]) -> str:
        """Return integers divided, half away from zero as the kernels have it."""
        half = self.op("Add", self.op("Abs", x), divisor // 2)
        return self.op("Mul", self.op("Sign", x), self.op("Div", half, divisor))

    def scaled(self, x: str, multiplier: int, shift: int) -> str:
        """Return ``x * multiplier / 2**shift``, rounded twice as the kernels do it."""
        half, one = 1 << (FIRST_ROUNDING - 1), 1 << FIRST_ROUNDING
        if shift < FIRST_ROUNDING:
            x = self.op("Mul", x, _integer(1 << (FIRST_ROUNDING - shift)))
        product = self.op("Add", self.op("Mul", x, _integer(multiplier)), _integer(half))
        rest = self.op("Mod", product, _integer(one))
        first = self.op("Div", self.op("Sub", product, rest), _integer(one))
        return self.divided(first, _integer(1 << max(0, shift - FIRST_ROUNDING)))


def _integer(value: int) -> NDArray[np.int64]:
    return np.array(value, np.int64)


def average_pool(call: Call, x: str, y: str, constants: Constants) -> list[NodeProto]:
    """AVERAGE_POOL_2D: the sum of the pixels inside divided by how many they are."""
    emit, grid = Emitter(call, y, constants), grid_of(call.where, call.tensor(0))
    rows, columns = call.tensor(0).shape[1:3]
    size, steps = kernel_of(call), stride(call)
    top, bottom, left, right = padding(call, (rows, columns), size)
    raw = emit.op("Cast", emit.integers(x, grid), to=TensorProto.FLOAT)
    pads = [top, left, bottom, right]
    mean = emit.op(
        "AveragePool", emit.op("Transpose", raw, perm=[0, 3, 1, 2]), kernel_shape=list(size),
        strides=list(steps), pads=pads, count_include_pad=1,
    )  # fmt: skip
    whole = emit.op("Round", emit.op("Mul", mean, np.array(size[0] * size[1], np.float32)))
    total = emit.op("Transpose", emit.op("Cast", whole, to=TensorProto.INT64), perm=[0, 2, 3, 1])
    inside = np.ones((1, 1), np.int64)
    for n, k, s, (before, after) in zip(
        (rows, columns), size, steps, ((top, bottom), (left, right)), strict=True
    ):
        first = np.arange((n + before + after - k) // s + 1) * s - before
        count = np.minimum(first + k, n) - np.maximum(first, 0)
        inside = inside[..., None] * count
    count = inside.reshape(1, *inside.shape[-2:], 1)
    return emit.finished(emit.divided(total, count), call.activated())


def resize_bilinear(call: Call, x: str, y: str, constants: Constants) -> list[NodeProto]:
    """RESIZE_BILINEAR: by places with ten bits between two pixels, half away from zero."""
    emit, grid = Emitter(call, y, constants), grid_of(call.where, call.tensor(0))
    raw = emit.op("Transpose", emit.integers(x, grid), perm=[0, 3, 1, 2])
    rows, columns = (
        _weights_between(call, n, m)
        for n, m in zip(call.tensor(0).shape[1:3], call.result.shape[1:3], strict=True)
    )
    total = emit.op("MatMul", emit.op("MatMul", rows, raw), np.ascontiguousarray(columns.T))
    mean = emit.divided(total, _integer(1 << (2 * _FRACTION)))
    return emit.finished(emit.op("Transpose", mean, perm=[0, 2, 3, 1]), call.grid)


def _weights_between(call: Call, before: int, after: int) -> NDArray[np.int64]:
    """Weights (after, before) of pixels along an axis, in units of 2**-10."""
    one = 1 << _FRACTION
    scale = (one * before + after // 2) // after
    if call.option("AlignCorners") and after > 1:
        scale = (one * (before - 1) + (after - 1) // 2) // (after - 1)
    places = np.arange(after, dtype=np.int64) * scale
    if call.option("HalfPixelCenters"):
        places += scale // 2 - (one >> 1)
    low = np.maximum(places, 0) // one
    # Towards zero, as C++ divides.
    high = np.minimum(np.maximum(places + one - 1, 0) // one, before - 1)
    weights = np.zeros((after, before), np.int64)
    np.add.at(weights, (np.arange(after), low), one - (places - one * low))
    np.add.at(weights, (np.arange(after), high), places - one * low)
    return weights


def resize_nearest(call: Call, x: str, y: str, constants: Constants) -> list[NodeProto]:
    """RESIZE_NEAREST_NEIGHBOR: pixels at places that the kernel computes in float32."""
    emit = Emitter(call, y, constants)
    for axis in (1, 2):
        before, after = call.tensor(0).shape[axis], call.result.shape[axis]
        x = emit.op("Gather", x, _nearest(call, before, after), axis=axis)
    emit.nodes.append(helper.make_node("Identity", [x], [y]))
    return emit.nodes


def _nearest(call: Call, before: int, after: int) -> NDArray[np.int64]:
    corners, centers = bool(call.option("AlignCorners")), bool(call.option("HalfPixelCenters"))
    scale = np.float32(before) / np.float32(after)
    if corners and after > 1:
        scale = np.float32(before - 1) / np.float32(after - 1)
    places = (np.arange(after, dtype=np.float32) + np.float32(centers * 0.5)) * scale
    whole = np.floor(places + np.float32(0.5)) if corners else np.floor(places)
    index: NDArray[np.int64] = np.clip(whole, 0, before - 1).astype(np.int64)
    return index


def mean(call: Call, x: str, y: str, constants: Constants) -> list[NodeProto]:
    """MEAN over any axes."""
    emit, grid, out = Emitter(call, y, constants), grid_of(call.where, call.tensor(0)), call.grid
    shape = call.tensor(0).shape
    axes = sorted({int(a) % len(shape) for a in call.constant(1, "INT32").reshape(-1)})
    if 0 in axes:
        call.refuse(f"{call.op.kind} of the batch", "Take other axes.")
    count = int(np.prod([shape[a] for a in axes]))
    total = emit.op("ReduceSum", emit.integers(x, grid), np.array(axes, np.int64), keepdims=0)
    own = emit.op("Sub", total, _integer(count * grid.zero_point))
    value = emit.scaled(own, *mean_multiplier(grid.scale / out.scale, count))
    result = emit.op("Reshape", value, np.array(call.result.shape, np.int64))
    return emit.finished(emit.op("Add", result, _integer(out.zero_point)), out)


def product(call: Call, a: str, b: str, y: str, constants: Constants) -> list[NodeProto]:
    """BATCH_MATMUL of two tensors: sums of integers, rounded as those of convolutions."""
    emit, out = Emitter(call, y, constants), call.grid
    grids = [grid_of(call.where, call.tensor(place)) for place in (0, 1)]
    factors = []
    for x, grid, place, name in zip((a, b), grids, (0, 1), ("AdjX", "AdjY"), strict=True):
        points = emit.op("Sub", emit.integers(x, grid), _integer(grid.zero_point))
        if call.option(name):
            order = [*range(len(call.tensor(place).shape))]
            points = emit.op("Transpose", points, perm=[*order[:-2], order[-1], order[-2]])
        factors.append(points)
    ratio = float(np.float32(grids[0].scale)) * float(np.float32(grids[1].scale)) / out.scale
    value = emit.scaled(emit.op("MatMul", *factors), *multiplier_of(ratio))
    return emit.finished(emit.op("Add", value, _integer(out.zero_point)), out)


def squared_difference(call: Call, a: str, b: str, y: str, constants: Constants) -> list[NodeProto]:
    """SQUARED_DIFFERENCE: both on one finer scale, then the square on the result's."""
    emit, out = Emitter(call, y, constants), call.grid
    grids = [grid_of(call.where, call.tensor(place)) for place in (0, 1)]
    common, fine = 2 * max(grid.scale for grid in grids), 1 << 7
    sides = []
    for x, grid in zip((a, b), grids, strict=True):
        points = emit.op("Sub", emit.integers(x, grid), _integer(grid.zero_point))
        points = emit.op("Mul", points, _integer(fine))
        sides.append(emit.scaled(points, *multiplier_of(grid.scale / common)))
    apart = emit.op("Sub", *sides)
    square, ratio = emit.op("Mul", apart, apart), common * common / (fine * fine * out.scale)
    value = emit.scaled(square, *multiplier_of(ratio))
    return emit.finished(emit.op("Add", value, _integer(out.zero_point)), out)


def extreme(call: Call, x: str, y: str, constants: Constants) -> list[NodeProto]:
    """REDUCE_MAX, REDUCE_MIN: on one grid."""
    emit, shape = Emitter(call, y, constants), call.tensor(0).shape
    axes = [int(a) % len(shape) for a in call.constant(1, "INT32").reshape(-1)]
    if 0 in axes or grid_of(call.where, call.tensor(0)) != call.grid:
        call.refuse(f"{call.op.kind} of the batch, or from one grid to another", "Convert it anew.")
    kind = "ReduceMax" if call.op.kind == "REDUCE_MAX" else "ReduceMin"
    value = emit.op(kind, x, axes=sorted(axes), keepdims=0)
    size = emit.named(np.array(call.result.shape, np.int64))
    emit.nodes.append(helper.make_node("Reshape", [value, size], [y]))
    return emit.nodes


def prelu(call: Call, x: str, y: str, constants: Constants) -> list[NodeProto]:
    """PRELU: what is negative times its channel's slope, by factors of its own."""
    emit, grid, out = Emitter(call, y, constants), grid_of(call.where, call.tensor(0)), call.grid
    own = grid_of(call.where, call.tensor(1))
    slopes = call.constant(1, "INT8").astype(np.int64) - own.zero_point
    above = np.float32(grid.scale) / np.float32(out.scale)
    below = np.float32(grid.scale) * np.float32(own.scale) / np.float32(out.scale)
    points = emit.op("Sub", emit.integers(x, grid), _integer(grid.zero_point))
    negative = emit.op("Less", points, _integer(0))
    low = emit.scaled(emit.op("Mul", points, slopes), *multiplier_of(float(below)))
    value = emit.op("Where", negative, low, emit.scaled(points, *multiplier_of(float(above))))
    return emit.finished(emit.op("Add", value, _integer(out.zero_point)), out)


#: By the schema's names.
KERNELS: Mapping[str, Any] = {
    "AVERAGE_POOL_2D": average_pool,
    "BATCH_MATMUL": product,
    "MEAN": mean,
    "PRELU": prelu,
    "REDUCE_MAX": extreme,
    "REDUCE_MIN": extreme,
    "RESIZE_BILINEAR": resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest,
    "SQUARED_DIFFERENCE": squared_difference,
}
