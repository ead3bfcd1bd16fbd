"""Operators that move elements."""

from __future__ import annotations

import math

import numpy as np

from tilewright.compiler.importers.tflite.call import Call, grid_of
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.ops import IndexArray


def same_grid(call: Call, *places: int) -> None:
    """Refuse operands on another grid than the result, which kernels do not convert."""
    for place in places:
        if grid_of(call.where, call.tensor(place)) != call.grid:
            call.refuse(
                f"{call.op.kind} from one grid to another",
                "Convert the file anew; TFLite's converter gives both one scale and zero point.",
            )


def reshape(call: Call) -> View:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the same elements in another shape."""
    same_grid(call, 0)
    view, shape = call.view(0), call.result.shape
    if not shape or shape[0] != 1 or math.prod(shape) != math.prod(view.shape):
        call.refuse(f"a shape of {shape} for {(1, *view.shape)}", "The batch stays, and is one.")
    return call.builder.reshaped(view, shape[1:])


def concatenation(call: Call) -> View:
    """CONCATENATION: tensors one behind the other along an axis."""
    same_grid(call, *range(len(call.op.inputs)))
    views = [call.view(place) for place in range(len(call.op.inputs))]
    rank = len(views[0].shape) + 1
    axis = call.option("Axis") % rank
    if axis == 0:
        call.refuse("a concatenation of batches", "Concatenate along another axis.")
    ends = {(v.shape[: axis - 1], v.shape[axis:]) for v in views}
    if len({len(v.shape) for v in views}) > 1 or len(ends) > 1:
        call.refuse(f"a concatenation of {[v.shape for v in views]}", "Other axes are alike.")
    y = call.builder.move(views, lambda places: np.concatenate(places, axis - 1))
    return y if call.activated() == call.grid else call.quantized(y)


def pad(call: Call) -> View:
    """PAD: the zero point around a tensor."""
    same_grid(call, 0)
    view = call.view(0)
    ends = call.constant(1, "INT32", "INT64")
    if ends.shape != (len(view.shape) + 1, 2) or ends.min() < 0 or ends[0].any():
        call.refuse(f"padding {ends.tolist()} of {(1, *view.shape)}", "It is zero or more.")
    if ends.max() > 1 << 12:
        call.refuse(f"padding {ends.tolist()}", "It is at most 4096.")
    pairs = [(int(a), int(b)) for a, b in ends[1:]]
    return call.builder.move([view], lambda places: np.pad(places[0], pairs, constant_values=-1))


def resize_nearest(call: Call) -> View:
    """RESIZE_NEAREST_NEIGHBOR: whole factors, of pixels as areas."""
    same_grid(call, 0)
    x, shape = call.channels_first(), call.result.shape
    if len(shape) != 4 or call.option("AlignCorners"):
        call.refuse("nearest pixels with corners aligned", "Resize with align_corners=False.")
    factors = [n // m for n, m in zip(shape[1:3], x.shape[1:], strict=True)]
    if [m * f for m, f in zip(x.shape[1:], factors, strict=True)] != list(shape[1:3]):
        call.refuse(f"nearest pixels of {x.shape[1:]} for {shape[1:3]}", "Resize by whole factors.")

    def repeated(places: list[IndexArray]) -> IndexArray:
        return places[0].repeat(factors[0], 1).repeat(factors[1], 2)

    return call.channels_last(call.builder.move([x], repeated))


def _block(call: Call, size: int) -> int:
    block = call.option("BlockSize")
    if block < 1 or size % block:
        call.refuse(f"a block of {block} in {size}", "It divides rows, columns or channels.")
    return block


def space_to_depth(call: Call) -> View:
    """SPACE_TO_DEPTH: pixels of a block become channels."""
    same_grid(call, 0)
    x = call.channels_first()
    channels, rows, columns = x.shape
    n = _block(call, math.gcd(rows, columns))

    def places(index: list[IndexArray]) -> IndexArray:
        apart = index[0].reshape(channels, rows // n, n, columns // n, n)
        return apart.transpose(2, 4, 0, 1, 3).reshape(-1, rows // n, columns // n)

    return call.channels_last(call.builder.move([x], places))


def depth_to_space(call: Call) -> View:
    """DEPTH_TO_SPACE: channels become pixels of a block."""
    same_grid(call, 0)
    x = call.channels_first()
    channels, rows, columns = x.shape
    n = _block(call, channels)
    if channels % (n * n):
        call.refuse(f"a block of {n} in {channels} channels", "Its square divides channels.")

    def places(index: list[IndexArray]) -> IndexArray:
        apart = index[0].reshape(n, n, channels // (n * n), rows, columns)
        return apart.transpose(2, 3, 0, 4, 1).reshape(-1, rows * n, columns * n)

    return call.channels_last(call.builder.move([x], places))
