"""Operators that move elements."""

from __future__ import annotations

import math

import numpy as np

from tilewright.compiler.importers.tflite.call import Call, grid_of
from tilewright.compiler.quantized.graph import View


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
    return call.quantized(y)


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
