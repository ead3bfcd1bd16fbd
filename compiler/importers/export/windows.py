"""Pools, interpolation and reductions."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tilewright.compiler.importers.export.call import Absent, Call, Fringed, handles, pair
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.reductions import Reduction, reduce

MAXIMA = ("aten.max_pool1d", "aten.max_pool2d", "aten.max_pool2d_with_indices")
"""ATen operators that read what is Fringed."""


def _image(call: Call, x: Any) -> View:
    image = call.tensor(x)
    if len(image.shape) != 3:
        call.refuse(f"{call.operator} of (N, *{image.shape})", "Give it a tensor (N, C, H, W).")
    return image


def _line(call: Call, x: Any) -> View:
    image = call.tensor(x)
    if len(image.shape) != 2:
        call.refuse(f"{call.operator} of (N, *{image.shape})", "Give it a tensor (N, C, L).")
    return call.builder.reshaped(image, (image.shape[0], 1, image.shape[1]))


def _to_line(call: Call, x: View) -> View:
    return call.builder.reshaped(x, (x.shape[0], x.shape[2]))


def _padding(padding: q.Pair) -> q.Padding:
    return padding[0], padding[0], padding[1], padding[1]


@handles("max_pool2d")
def max_pool2d(
    call: Call, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> View:
    """Becomes MaxPool."""
    fringe = x if isinstance(x, Fringed) else Fringed(_image(call, x), (0, 0, 0, 0))
    step = pair(kernel) if not stride else pair(stride)
    return maximum(call, fringe, pair(kernel), step, pair(padding), pair(dilation), ceil)


@handles("max_pool2d_with_indices")
def max_pool2d_with_indices(
    call: Call, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> list[Any]:
    """Becomes MaxPool; nothing may read the indices."""
    return [max_pool2d(call, x, kernel, stride, padding, dilation, ceil), _indices(call)]


@handles("max_pool1d")
def max_pool1d(
    call: Call, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> View:
    """Becomes MaxPool on an image of one row."""
    k = (1, pair(kernel)[0])
    step = k if not stride else (1, pair(stride)[0])
    apart = (1, pair(dilation)[0])
    line = x if isinstance(x, Fringed) else Fringed(_line(call, x), (0, 0, 0, 0))
    return _to_line(call, maximum(call, line, k, step, (0, pair(padding)[0]), apart, ceil))


def maximum(
    call: Call, x: Fringed, kernel: q.Pair, stride: q.Pair, padding: q.Pair, dilation: q.Pair,
    ceil: bool,
) -> View:  # fmt: skip
    """Take the maxima of an image's windows."""
    pads = [a + b for a, b in zip(_padding(padding), x.padding, strict=True)]
    if ceil:
        for axis in (0, 1):
            size = x.view.shape[1 + axis] + sum(x.padding[2 * axis : 2 * axis + 2])
            pads[2 * axis + 1] += beyond(
                size, kernel[axis], stride[axis], padding[axis], dilation[axis]
            )
    own = (pads[0], pads[1], pads[2], pads[3])
    return call.builder.max_pool(call.where, x.view, kernel, stride, own, dilation)


def beyond(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Rows that ceil_mode's last window reaches beyond the padding."""
    reach = dilation * (kernel - 1) + 1
    count = -(-(size + 2 * padding - reach) // stride) + 1
    if (count - 1) * stride >= size + padding:
        count -= 1  # the last window must begin in the image
    return max(0, (count - 1) * stride + reach - size - 2 * padding)


@handles("avg_pool2d")
def avg_pool2d(
    call: Call, x: Any, kernel: Any, stride: Any, padding: Any, ceil: bool, count_pad: bool,
    divisor: Any,
) -> View:  # fmt: skip
    """Becomes AvgPool, or Resample where windows at borders count less."""
    step = pair(kernel) if not stride else pair(stride)
    return average(
        call, _image(call, x), pair(kernel), step, pair(padding), ceil, count_pad, divisor
    )


@handles("avg_pool1d")
def avg_pool1d(
    call: Call, x: Any, kernel: Any, stride: Any, padding: Any, ceil: bool, count_pad: bool
) -> View:
    """Becomes AvgPool on an image of one row."""
    k = (1, pair(kernel)[0])
    step = k if not stride else (1, pair(stride)[0])
    pads = (0, pair(padding)[0])
    return _to_line(call, average(call, _line(call, x), k, step, pads, ceil, count_pad, None))


def average(
    call: Call, x: View, kernel: q.Pair, stride: q.Pair, padding: q.Pair, ceil: bool,
    count_pad: bool, divisor: int | None,
) -> View:  # fmt: skip
    """Take the means of an image's windows."""
    _, height, width = x.shape
    more = [
        beyond(n, k, s, p) if ceil else 0
        for n, k, s, p in zip((height, width), kernel, stride, padding, strict=True)
    ]
    if divisor is not None or (not any(more) and (count_pad or not any(padding))):
        pads = (padding[0], padding[0] + more[0], padding[1], padding[1] + more[1])
        area = float(divisor or kernel[0] * kernel[1])
        return call.builder.avg_pool(call.where, x, kernel, stride, pads, area)

    def matrix(size: int, axis: int) -> Tensor:
        unit = torch.eye(size, dtype=torch.float64)[:, None, :, None]
        k, s, p = kernel[axis], stride[axis], padding[axis]
        return F.avg_pool2d(unit, (k, 1), (s, 1), (p, 0), ceil, count_pad)[:, 0, :, 0].T

    return call.builder.resample(call.where, x, matrix(height, 0), matrix(width, 1))


def _indices(call: Call) -> Absent:
    return Absent(call.where, "the indices of maxima")


def _sizes(output: Any, x: View) -> q.Pair:
    given = output if isinstance(output, list | tuple) else [output] * 2
    rows, columns = (n if o is None else int(o) for o, n in zip(given, x.shape[1:], strict=True))
    return rows, columns


@handles("adaptive_avg_pool2d", "_adaptive_avg_pool2d")
def adaptive_avg_pool2d(call: Call, x: Any, size: Any) -> View:
    """Becomes AvgPool, or Resample where windows are unequal."""
    image = _image(call, x)
    return average_to(call, image, _sizes(size, image))


@handles("adaptive_avg_pool1d")
def adaptive_avg_pool1d(call: Call, x: Any, size: Any) -> View:
    """Becomes AvgPool on an image of one row."""
    return _to_line(call, average_to(call, _line(call, x), (1, pair(size)[0])))


def average_to(call: Call, x: View, size: q.Pair) -> View:
    """Take as many means of an image's windows as are asked for."""
    (_, height, width), (rows, columns) = x.shape, size
    if height % rows == 0 and width % columns == 0:
        kernel = (height // rows, width // columns)
        area = float(kernel[0] * kernel[1])
        return call.builder.avg_pool(call.where, x, kernel, kernel, (0, 0, 0, 0), area)

    def matrix(n: int, m: int) -> Tensor:
        unit = torch.eye(n, dtype=torch.float64)[:, None, :, None]
        return F.adaptive_avg_pool2d(unit, (m, 1))[:, 0, :, 0].T

    return call.builder.resample(call.where, x, matrix(height, rows), matrix(width, columns))


@handles("adaptive_max_pool2d")
def adaptive_max_pool2d(call: Call, x: Any, size: Any) -> list[Any]:
    """Becomes MaxPool, one for each row and column of results where windows are unequal."""
    image = _image(call, x)
    return [_adaptive_max(call, image, _sizes(size, image)), _indices(call)]


@handles("adaptive_max_pool1d")
def adaptive_max_pool1d(call: Call, x: Any, size: Any) -> list[Any]:
    """Becomes MaxPool on an image of one row."""
    result = _adaptive_max(call, _line(call, x), (1, pair(size)[0]))
    return [_to_line(call, result), _indices(call)]


def _adaptive_max(call: Call, x: View, size: q.Pair) -> View:
    builder, none = call.builder, (0, 0, 0, 0)
    for axis in (1, 2):
        n, m = x.shape[axis], size[axis - 1]
        if n % m == 0:
            kernel = (n // m, 1) if axis == 1 else (1, n // m)
            if n != m:
                x = builder.max_pool(call.where, x, kernel, kernel, none)
            continue
        parts = []
        for i in range(m):
            first, last = i * n // m, -(-(i + 1) * n // m)
            window = builder.taken(x, range(first, last), axis)
            kernel = (last - first, 1) if axis == 1 else (1, last - first)
            parts.append(builder.max_pool(call.where, window, kernel, kernel, none))
        x = builder.move(parts, functools.partial(np.concatenate, axis=axis))
    return x


@handles("mean", "sum", "amax", "amin")
def reduction(call: Call, x: Any, dims: Any = None, keep: bool = False, *rest: Any) -> View:
    """Becomes a pool over pixels, a convolution over channels, or maxima of channels."""
    view = call.tensor(x)
    rank = len(view.shape) + 1
    kind: Reduction = call.operator.removeprefix("aten.")  # type: ignore[assignment]
    if isinstance(dims, int):
        dims = [dims]
    over = sorted(d % rank for d in (dims or range(rank)))
    if 0 in over:
        call.refuse(f"a {kind} over the batch", "Reduce dimensions of the images only.")
    return reduce(call.builder, call.where, view, kind, [d - 1 for d in over], keep)


@handles("upsample_bilinear2d", "_upsample_bilinear2d_aa", "upsample_bicubic2d",
         "_upsample_bicubic2d_aa")  # fmt: skip
def interpolate(call: Call, x: Any, size: Any, corners: bool, *scales: Any) -> View:
    """Becomes Bilinear by whole factors, or Resample."""
    image = _image(call, x)
    factors: list[Any] = []
    for s in scales:  # a list of both, or one by one
        factors += list(s) if isinstance(s, list | tuple) else [s]
    target = {
        "aten.upsample_bilinear2d": torch.ops.aten.upsample_bilinear2d.default,
        "aten._upsample_bilinear2d_aa": torch.ops.aten._upsample_bilinear2d_aa.default,
        "aten.upsample_bicubic2d": torch.ops.aten.upsample_bicubic2d.default,
        "aten._upsample_bicubic2d_aa": torch.ops.aten._upsample_bicubic2d_aa.default,
    }[call.operator]
    return interpolated(call, image, size, corners, factors, target)


@handles("upsample_linear1d")
def interpolate_line(call: Call, x: Any, size: Any, corners: bool, *scales: Any) -> View:
    """Becomes Bilinear on an image of one row, or Resample."""
    line = _line(call, x)
    factors: list[Any] = []
    for s in scales:
        factors += list(s) if isinstance(s, list | tuple) else [s]
    size = None if size is None else [1, *size]
    own = [1.0, *factors] if any(f is not None for f in factors) else factors
    target = torch.ops.aten.upsample_bilinear2d.default
    return _to_line(call, interpolated(call, line, size, corners, own, target))


def interpolated(
    call: Call, x: View, size: Any, corners: bool, factors: list[Any], target: Any
) -> View:
    """Interpolate an image as ``target``, an ATen operator, does it."""
    _, height, width = x.shape
    given = [f for f in factors if f is not None]
    if size is None:
        size = [math.floor(n * f) for n, f in zip((height, width), given, strict=True)]
    rows, columns = int(size[0]), int(size[1])
    vertical, horizontal = given if len(given) == 2 else (None, None)
    bilinear = target is torch.ops.aten.upsample_bilinear2d.default
    whole = rows % height == 0 and columns % width == 0
    if vertical is not None and horizontal is not None:
        whole = whole and (vertical * height, horizontal * width) == (rows, columns)
    if bilinear and whole and (not corners or (height, width) == (1, 1)):
        return call.builder.bilinear(call.where, x, (rows // height, columns // width))

    def matrix(n: int, m: int, scale: float | None) -> Tensor:
        unit = torch.eye(n, dtype=torch.float64)[None, None]
        full = target(unit, [m, n], corners, scale, None if scale is None else 1.0)
        return full[0, 0]  # type: ignore[no-any-return]

    return call.builder.resample(
        call.where, x, matrix(height, rows, vertical), matrix(width, columns, horizontal)
    )
