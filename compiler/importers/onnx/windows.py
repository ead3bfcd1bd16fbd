"""Pools, interpolation and reductions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tilewright.compiler.importers.onnx import volumes
from tilewright.compiler.importers.onnx.call import Call, handles
from tilewright.compiler.importers.onnx.values import Stored, Value
from tilewright.compiler.importers.onnx.weighted import as_image, as_line, padding_of, pairs
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.reductions import Reduction, reduce

Floats: TypeAlias = NDArray[np.float64]


@handles("MaxPool")
def max_pool(call: Call) -> list[Value]:
    """Becomes MaxPool; nothing may read the indices."""
    call.ignore("storage_order")  # of the indices
    value = call.value(0)
    stored = isinstance(value, Stored)
    x = value.view if isinstance(value, Stored) else call.tensor(0)
    if len(x.shape) == 4:
        result = volumes.pooled(call, x)
        return [replace(value, view=result) if isinstance(value, Stored) else result, None]
    image, kernel, stride, padding, spatial = _window(call, x)
    dilation = pairs(call, "dilations", spatial)
    padding = _with_ceil(call, image, kernel, stride, padding, dilation)
    image, padding = _repeated(call, image, kernel, padding)
    result = call.builder.max_pool(call.where, image, kernel, stride, padding, dilation)
    result = as_line(call, result, spatial)
    if stored and isinstance(value, Stored):
        return [Stored(result, value.grid, value.bits, value.signed), None]
    return [result, None]


def _repeated(call: Call, x: View, kernel: q.Pair, padding: q.Padding) -> tuple[View, q.Padding]:
    """Repeat the last rows and columns where ceil_mode pads by more than half a window.

    Every window begins in the image, so it has the last row if it reaches beyond it.
    """
    most = (kernel[0] // 2, kernel[1] // 2)
    bottom, right = max(0, padding[1] - most[0]), max(0, padding[3] - most[1])
    if not bottom and not right:
        return x, padding
    more = ((0, 0), (0, bottom), (0, right))
    image = call.builder.move([x], lambda places: np.pad(places[0], more, mode="edge"))
    return image, (padding[0], padding[1] - bottom, padding[2], padding[3] - right)


@handles("AveragePool")
def average_pool(call: Call) -> View:
    """Becomes AvgPool, or Resample where windows at borders count less."""
    return averaged(call, call.tensor(0))


def averaged(call: Call, x: View) -> View:
    """Average windows by the node's attributes."""
    image, kernel, stride, padding, spatial = _window(call, x)
    dilation = pairs(call, "dilations", spatial)
    if dilation != (1, 1):
        call.refuse("AveragePool with dilations", "Use a convolution with equal weights.")
    whole = bool(call.integer("count_include_pad", 0)) or not any(padding)
    ends = _with_ceil(call, image, kernel, stride, padding, dilation)
    if whole and ends == padding:
        area = float(kernel[0] * kernel[1])
        result = call.builder.avg_pool(call.where, image, kernel, stride, padding, area)
        return as_line(call, result, spatial)
    if call.model.quantized:
        call.refuse(
            f"{call.operator} over windows that differ: padding, or ceil_mode",
            "Use count_include_pad=1 without ceil_mode, or Pad before it.",
        )
    # What lies behind the padding never counts, and padding only if it is asked for.
    counts_padding = bool(call.integer("count_include_pad", 0))
    matrices = []
    for axis in (0, 1):
        n, k, s = image.shape[1 + axis], kernel[axis], stride[axis]
        before, after, end = padding[2 * axis], padding[2 * axis + 1], ends[2 * axis + 1]
        count = (n + before + end - k) // s + 1
        matrix = torch.zeros(count, n, dtype=torch.float64)
        for i in range(count):
            places = np.arange(i * s - before, i * s - before + k)
            inside = places[(places >= 0) & (places < n)]
            counted = places[places < n + after] if counts_padding else inside
            matrix[i, torch.from_numpy(inside)] = 1 / max(1, len(counted))
        matrices.append(matrix)
    return as_line(call, call.builder.resample(call.where, image, *matrices), spatial)


def _window(call: Call, x: View) -> tuple[View, q.Pair, q.Pair, q.Padding, int]:
    """Image, kernel, stride, padding and spatial dimensions of a pool."""
    given = call.integers("kernel_shape")
    if given is None:
        call.refuse(f"{call.operator} without kernel_shape", "Check the model.")
    image, spatial = as_image(call, x, len(given) + 2)
    kernel = pairs(call, "kernel_shape", spatial)
    stride, dilation = pairs(call, "strides", spatial), pairs(call, "dilations", spatial)
    padding = padding_of(call, image.shape[1:], kernel, stride, dilation, spatial)
    return image, kernel, stride, padding, spatial


def _with_ceil(
    call: Call, x: View, kernel: q.Pair, stride: q.Pair, padding: q.Padding, dilation: q.Pair
) -> q.Padding:
    """Return the padding with the rows that ceil_mode's last window reaches beyond it."""
    if not call.integer("ceil_mode", 0):
        return padding
    result = list(padding)
    for axis in (0, 1):
        n, before, after = x.shape[1 + axis], padding[2 * axis], padding[2 * axis + 1]
        reach, s = dilation[axis] * (kernel[axis] - 1) + 1, stride[axis]
        count = -(-(n + before + after - reach) // s) + 1
        if (count - 1) * s >= n + before:
            count -= 1  # the last window must begin in the image
        result[2 * axis + 1] = after + max(0, (count - 1) * s + reach - n - before - after)
    return result[0], result[1], result[2], result[3]


@handles("GlobalAveragePool", "GlobalMaxPool")
def global_pool(call: Call) -> View:
    """Becomes AvgPool or MaxPool."""
    kind: Reduction = "mean" if "Average" in call.operator else "amax"
    x = call.tensor(0)
    return reduce(call.builder, call.where, x, kind, range(1, len(x.shape)), True)


_REDUCTIONS: dict[str, Reduction] = {
    "ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "amax", "ReduceMin": "amin",
}  # fmt: skip


@handles(*_REDUCTIONS)
def reduction(call: Call) -> View:
    """Becomes a pool over pixels, a convolution over channels, or maxima of channels."""
    x = call.tensor(0)
    rank = len(x.shape) + 1
    axes = call.integers("axes")
    if axes is None and call.value(1) is not None:
        axes = call.sizes(1, "axes")
    nothing = bool(call.integer("noop_with_empty_axes", 0))
    keep = bool(call.integer("keepdims", 1))
    if not axes and nothing:
        return x
    over = [call.axis(a, rank) for a in axes or range(rank)]
    return reduce(call.builder, call.where, x, _REDUCTIONS[call.operator], over, keep)


@handles("Resize")
def resize(call: Call) -> Value:
    """Becomes a move (nearest, also of integers), Bilinear by whole factors, or Resample."""
    value, mode = call.value(0), call.text("mode", "nearest")
    moved = isinstance(value, Stored) and mode == "nearest"
    x = value.view if isinstance(value, Stored) and moved else call.tensor(0)
    if mode not in ("nearest", "linear"):
        call.refuse(f"Resize with mode={mode!r}", "Use nearest or linear.")
    if call.integer("antialias", 0) or call.integers("axes") is not None:
        call.refuse("Resize with antialias or axes", "Leave both out.")
    if call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        call.refuse("Resize with keep_aspect_ratio_policy", "Give it sizes or scales.")
    call.ignore("extrapolation_value", "exclude_outside", "cubic_coeff_a")
    size, factors = _target(call, x)
    transform = call.text("coordinate_transformation_mode", "half_pixel")
    nearest = call.text("nearest_mode", "round_prefer_floor")
    if transform == "tf_crop_and_resize":
        call.refuse("Resize with tf_crop_and_resize", "Slice, then resize.")
    places = [
        _coordinates(call, n, m, f, transform)
        for n, m, f in zip(x.shape, size, factors, strict=True)
    ]
    if mode == "nearest":
        index = [_nearest(call, p, n, nearest) for p, n in zip(places, x.shape, strict=True)]
        result = call.builder.move([x], lambda arrays: arrays[0][np.ix_(*index)])
        return replace(value, view=result) if isinstance(value, Stored) else result
    if (
        len(x.shape) < 2
        or size[:-2] != x.shape[:-2]
        or (len(x.shape) == 2 and size[0] != x.shape[0])
    ):
        call.refuse(f"linear interpolation from {x.shape} to {size}", "Resize rows and columns.")
    image, spatial = as_image(call, x, len(x.shape) + 1)
    size = size if spatial == 2 else (size[0], 1, size[1])
    places = places if spatial == 2 else [places[0], np.zeros(1), places[1]]
    whole = [m % n == 0 for n, m in zip(image.shape[1:], size[1:], strict=True)]
    if all(whole) and transform in ("half_pixel", "pytorch_half_pixel"):
        scale = (size[1] // image.shape[1], size[2] // image.shape[2])
        return as_line(call, call.builder.bilinear(call.where, image, scale), spatial)
    if call.model.quantized:
        call.refuse(
            f"interpolation by weights that differ from pixel to pixel, {image.shape} to {size}",
            "Resize by whole factors with half_pixel, or nearest.",
        )
    rows, columns = (_linear(p, n) for p, n in zip(places[1:], image.shape[1:], strict=True))
    return as_line(call, call.builder.resample(call.where, image, rows, columns), spatial)


def _target(call: Call, x: View) -> tuple[tuple[int, ...], list[float]]:
    """Shape of the result and factors, without the batch."""
    scales, sizes = call.optional(2, "scales"), None
    if call.value(3) is not None:
        sizes = call.sizes(3, "sizes")
    rank = len(x.shape) + 1
    if scales is not None and scales.size:
        factors = [float(s) for s in scales.reshape(-1)]
        if len(factors) != rank or factors[0] != 1 or not all(0 < f < 4096 for f in factors):
            call.refuse(f"Resize by {factors}", "Keep the batch, and resize rows and columns.")
        size = tuple(math.floor(n * f) for n, f in zip(x.shape, factors[1:], strict=True))
        return call.check_shape(size), factors[1:]
    if sizes is None or len(sizes) != rank or sizes[0] != 1:
        call.refuse(f"Resize to {sizes}", "Keep the batch, and resize rows and columns.")
    size = call.check_shape(sizes[1:])
    return size, [m / n for n, m in zip(x.shape, size, strict=True)]


def _coordinates(call: Call, n: int, m: int, factor: float, transform: str) -> Floats:
    """Places in the input of all elements along an axis of the result."""
    i = np.arange(m, dtype=np.float64)
    match transform:
        case "half_pixel":
            return (i + 0.5) / factor - 0.5
        case "pytorch_half_pixel":
            return (i + 0.5) / factor - 0.5 if m > 1 else np.zeros(1)
        case "asymmetric":
            return i / factor
        case "align_corners":
            return i * (n - 1) / (m - 1) if m > 1 else np.zeros(1)
        case "half_pixel_symmetric":
            offset = n / 2 * (1 - m / (factor * n))
            return offset + (i + 0.5) / factor - 0.5
    call.refuse(f"Resize with {transform}", "Use half_pixel, asymmetric or align_corners.")


def _nearest(call: Call, places: Floats, n: int, mode: str) -> NDArray[np.int64]:
    match mode:
        case "round_prefer_floor":
            whole = np.ceil(places - 0.5)
        case "round_prefer_ceil":
            whole = np.floor(places + 0.5)
        case "floor":
            whole = np.floor(places)
        case "ceil":
            whole = np.ceil(places)
        case _:
            call.refuse(f"Resize with nearest_mode={mode!r}", "Use round_prefer_floor.")
    return whole.clip(0, n - 1).astype(np.int64)


def _linear(places: Floats, n: int) -> Tensor:
    """Matrix that interpolates at places along an axis; beyond the ends, the ends."""
    inside = places.clip(0, n - 1)
    below = np.floor(inside).astype(np.int64)
    above = np.minimum(below + 1, n - 1)
    matrix = np.zeros((len(places), n))
    np.add.at(matrix, (np.arange(len(places)), below), 1 - (inside - below))
    np.add.at(matrix, (np.arange(len(places)), above), inside - below)
    return torch.from_numpy(matrix)
