"""What only moves elements: done to the elements' places."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from tilewright.compiler.importers.onnx.call import Call, handles
from tilewright.compiler.importers.onnx.tensors import Array
from tilewright.compiler.importers.onnx.values import Scaled, Stored, Value
from tilewright.compiler.quantized.graph import View

Places = Any
"""Array of places, with the batch, of one image, as its first dimension."""


def moved(call: Call, values: Sequence[Value], place: Callable[[list[Places]], Places]) -> Value:
    """Move elements of feature maps, or of integers on one grid."""
    stored = [v for v in values if isinstance(v, Stored)]
    if stored:
        first = stored[0]
        same = len(stored) == len(values) and all(v.grid == first.grid for v in stored)
        if not same:
            call.refuse(f"{call.operator} of integers on different grids", "Dequantize before it.")
        view = _move(call, [v.view for v in stored], place)
        return Stored(view, first.grid, first.bits, first.signed)
    return _move(call, [call.view(v) for v in values], place)


def _move(call: Call, views: list[View], place: Callable[[list[Places]], Places]) -> View:
    def of_image(places: list[Places]) -> Places:
        result = place([p[None] for p in places])
        if not result.ndim or result.shape[0] != 1:
            call.refuse(
                f"{call.operator} that makes (N, ...) a tensor of {result.shape}, with N = 1",
                "Keep the batch as the first dimension, and export with it dynamic or 1.",
            )
        return result[0]

    return call.builder.move(views, of_image)


def shape_of(call: Call, value: Value) -> tuple[int, ...]:
    """Shape with a batch of one."""
    match value:
        case View():
            return (1, *value.shape)
        case Stored():
            return (1, *value.view.shape)
        case Scaled():
            return value.integers.shape
        case None:
            call.refuse(f"{call.operator} lacks an input", "Check the model.")
        case _:
            return tuple(value.shape)


@handles("Identity", "Dropout")
def identity(call: Call) -> list[Value]:
    """Disappears."""
    call.ignore("ratio", "seed")
    if call.operator == "Dropout" and (train := call.optional(2, "training_mode")) is not None:
        if bool(train.any()):
            call.refuse("Dropout in training", "Export in evaluation mode.")
    return [call.value(0), None]


@handles("Cast")
def cast(call: Call) -> Value:
    """Disappears between floating types."""
    call.ignore("saturate", "round_mode")
    kind = call.integer("to", 0)
    if kind not in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16):
        call.refuse(f"a conversion of a feature map to type {kind}", "Keep it in floats.")
    return call.tensor(0)


@handles("Shape")
def shape(call: Call) -> Array:
    """Becomes a constant."""
    own = shape_of(call, call.value(0))
    start, end = call.integer("start", 0), call.integer("end", len(own))
    return np.array(own[start:end], np.int64)


@handles("Size")
def size(call: Call) -> Array:
    """Becomes a constant."""
    return np.array(math.prod(shape_of(call, call.value(0))), np.int64)


@handles("Reshape")
def reshape(call: Call) -> Value:
    """Becomes a view."""
    own = shape_of(call, call.value(0))
    keep_zero = bool(call.integer("allowzero", 0))
    target = list(call.sizes(1, "a shape"))
    if not keep_zero:
        target = [own[i] if n == 0 and i < len(own) else n for i, n in enumerate(target)]
    return _reshaped(call, target)


@handles("Flatten")
def flatten(call: Call) -> Value:
    """Becomes a view."""
    own = shape_of(call, call.value(0))
    axis = call.integer("axis", 1) % (len(own) + 1)
    return _reshaped(call, [math.prod(own[:axis]), math.prod(own[axis:])])


def _reshaped(call: Call, target: Sequence[int]) -> Value:
    value, own = call.value(0), shape_of(call, call.value(0))
    rest = math.prod(n for n in target if n != -1)
    full = [math.prod(own) // max(1, rest) if n == -1 else n for n in target]
    if list(target).count(-1) > 1 or math.prod(full) != math.prod(own) or min(full, default=1) < 0:
        call.refuse(f"{call.operator} of {own} to {tuple(target)}", "Check the model.")
    if isinstance(value, Scaled):
        if value.scale.ndim:
            call.refuse("a reshape of weights with scales per channel", "Reshape before it.")
        return Scaled(value.integers.reshape(full), value.scale, 0)
    return moved(call, [value], lambda places: places[0].reshape(full))


@handles("Transpose")
def transpose(call: Call) -> Value:
    """Becomes a view."""
    value, own = call.value(0), shape_of(call, call.value(0))
    order = call.integers("perm", range(len(own))[::-1])
    assert order is not None
    if sorted(order) != list(range(len(own))):
        call.refuse(f"Transpose with perm={list(order)} of {own}", "Check the model.")
    if isinstance(value, Scaled):
        axis = order.index(value.axis % len(own)) if value.scale.ndim else 0
        return Scaled(value.integers.transpose(order), value.scale, axis)
    if order[:1] != (0,):
        call.refuse(f"Transpose with perm={list(order)}", "Keep the batch first.")
    return moved(call, [value], lambda places: places[0].transpose(order))


@handles("Squeeze", "Unsqueeze")
def squeeze(call: Call) -> Value:
    """Becomes a view."""
    own = shape_of(call, call.value(0))
    given = call.integers("axes")
    if given is None and call.value(1) is not None:
        given = call.sizes(1, "axes")
    if call.operator == "Squeeze":
        axes = [a % len(own) for a in given] if given else [i for i, n in enumerate(own) if n == 1]
        if any(own[a] != 1 for a in axes):
            call.refuse(f"Squeeze of {own} along {axes}", "Check the model.")
        return _reshaped(call, [n for i, n in enumerate(own) if i not in axes])
    if given is None:
        call.refuse("Unsqueeze without axes", "Check the model.")
    rank = len(own) + len(given)
    axes = sorted(a % rank for a in given)
    result = list(own)
    for axis in axes:
        result.insert(axis, 1)
    return _reshaped(call, result)


@handles("Concat")
def concat(call: Call) -> Value:
    """Becomes a view."""
    axis, rank = call.integer("axis", 0), len(shape_of(call, call.value(0)))
    call.axis(axis, rank)
    return moved(call, call.inputs, lambda places: np.concatenate(places, axis))


@handles("Split")
def split(call: Call) -> list[Value]:
    """Becomes views."""
    own, count = shape_of(call, call.value(0)), len(call.node.output)
    axis = call.axis(call.integer("axis", 0), len(own)) + 1
    parts = call.integer("num_outputs", count)
    each = -(-own[axis] // max(1, parts))
    sizes: Sequence[int] = [min(each, own[axis] - i * each) for i in range(parts)]
    if call.value(1) is not None:
        sizes = call.sizes(1, "sizes")
    if sum(sizes) != own[axis] or len(sizes) != count or min(sizes, default=0) < 1:
        call.refuse(f"Split of {own[axis]} into {list(sizes)}", "Check the model.")
    ends = np.cumsum([0, *sizes])
    x = call.value(0)

    def part(i: int) -> Value:
        span = range(int(ends[i]), int(ends[i + 1]))
        return moved(call, [x], lambda places: places[0].take(span, axis))

    return [part(i) for i in range(count)]


@handles("Slice")
def slice_(call: Call) -> Value:
    """Becomes a view."""
    own = shape_of(call, call.value(0))
    starts, ends = call.sizes(1, "starts"), call.sizes(2, "ends")
    axes = range(len(starts)) if call.value(3) is None else call.sizes(3, "axes")
    steps = (1,) * len(starts) if call.value(4) is None else call.sizes(4, "steps")
    index = [slice(None)] * len(own)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        call.axis(axis, len(own))
        n = own[axis]
        if step == 0:
            call.refuse("Slice with a step of 0", "Check the model.")
        low, high = (0, n) if step > 0 else (0, n - 1)
        first = min(max(start + n if start < 0 else start, low), high)
        last = min(max(end + n if end < 0 else end, -1 if step < 0 else 0), n)
        index[axis] = slice(first, None if last < 0 else last, step)
    return moved(call, [call.value(0)], lambda places: places[0][tuple(index)])


@handles("Gather")
def gather(call: Call) -> Value:
    """Becomes a view."""
    own = shape_of(call, call.value(0))
    axis = call.axis(call.integer("axis", 0), len(own)) + 1
    places = call.constant(1, "an index").astype(np.int64)
    if places.size and not (-own[axis] <= places.min() and places.max() < own[axis]):
        call.refuse(f"Gather beyond {own[axis]}", "Check the model.")
    call.check_shape((*own[1:axis], *places.shape, *own[axis + 1 :]))
    return moved(call, [call.value(0)], lambda arrays: arrays[0].take(places, axis))


@handles("Expand")
def expand(call: Call) -> Value:
    """Becomes a view."""
    own = shape_of(call, call.value(0))
    target = np.broadcast_shapes(own, call.sizes(1, "a shape"))
    call.check_shape(target[1:])
    return moved(call, [call.value(0)], lambda places: np.broadcast_to(places[0], target))


@handles("Tile")
def tile(call: Call) -> Value:
    """Becomes a view."""
    own, repeats = shape_of(call, call.value(0)), call.sizes(1, "repeats")
    call.check_shape([n * r for n, r in zip(own, repeats, strict=True)])
    return moved(call, [call.value(0)], lambda places: np.tile(places[0], repeats))


@handles("DepthToSpace")
def depth_to_space(call: Call) -> Value:
    """Becomes a view."""
    _, c, h, w = _four(call)
    block, mode = call.integer("blocksize", 0), call.text("mode", "DCR")
    if block < 1 or c % block**2 or mode not in ("DCR", "CRD"):
        call.refuse(f"DepthToSpace with {mode} and a block of {block}", "Check the model.")
    k = c // block**2
    parts = (1, block, block, k, h, w) if mode == "DCR" else (1, k, block, block, h, w)
    order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    return moved(
        call,
        [call.value(0)],
        lambda p: p[0].reshape(parts).transpose(order).reshape(1, k, h * block, w * block),
    )


@handles("SpaceToDepth")
def space_to_depth(call: Call) -> Value:
    """Becomes a view."""
    _, c, h, w = _four(call)
    block = call.integer("blocksize", 0)
    if block < 1 or h % block or w % block:
        call.refuse(f"SpaceToDepth with a block of {block}", "Check the model.")
    parts = (1, c, h // block, block, w // block, block)
    result = (1, c * block**2, h // block, w // block)
    return moved(
        call,
        [call.value(0)],
        lambda p: p[0].reshape(parts).transpose(0, 3, 5, 1, 2, 4).reshape(result),
    )


def _four(call: Call) -> tuple[int, ...]:
    own = shape_of(call, call.value(0))
    if len(own) != 4:
        call.refuse(f"{call.operator} of {own}", "Give it a tensor (N, C, H, W).")
    return own


_MODES = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}


@handles("Pad")
def pad(call: Call) -> Value:
    """Becomes a view with zeros around it, or with elements again."""
    value, own = call.value(0), shape_of(call, call.value(0))
    mode = call.text("mode", "constant")
    if mode not in _MODES:
        call.refuse(f"Pad with mode={mode!r}", f"Use one of {', '.join(_MODES)}.")
    pads = call.sizes(1, "pads")
    axes = range(len(own)) if call.value(3) is None else call.sizes(3, "axes")
    ends = [(0, 0)] * len(own)
    if len(pads) != 2 * len(axes):
        call.refuse(f"{len(pads)} pads for {len(axes)} axes", "Check the model.")
    for i, axis in enumerate(axes):
        ends[axis] = (pads[i], pads[len(axes) + i])
    if any(ends[0]) or min(map(min, ends)) < 0:
        call.refuse(f"Pad by {ends}", "Slice what is to be cut off, and leave the batch alone.")
    call.check_shape([n + sum(e) for n, e in zip(own, ends, strict=True)])
    if mode != "constant":
        return moved(call, [value], lambda p: np.pad(p[0], ends, mode=mode))  # type: ignore[call-overload]
    given = call.optional(2, "a value")
    fill = 0.0 if given is None or not given.size else float(given.reshape(-1)[0])
    zero = value.grid.zero_point if isinstance(value, Stored) and value.grid else 0
    if fill != zero:
        call.refuse(
            f"padding with the value {fill:g}",
            "Pad with zero (of integers, with the zero point), or subtract the value before and "
            "add it behind.",
        )
    return moved(call, [value], lambda p: np.pad(p[0], ends, constant_values=-1))
