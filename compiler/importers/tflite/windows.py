"""Windows: where they are, and pools."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tilewright.compiler.importers.tflite.call import Call
from tilewright.compiler.importers.tflite.movement import same_grid
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.ops import Padding, Pair

_SAME, _VALID = 0, 1


def stride(call: Call) -> Pair:
    """Return the stride of an operator, (vertical, horizontal)."""
    return _positive(call, "stride", ("StrideH", "StrideW"), 0)


def dilation(call: Call) -> Pair:
    """Return the dilation of an operator, (vertical, horizontal)."""
    rows, columns = _positive(call, "dilation", ("DilationHFactor", "DilationWFactor"), 1)
    block = call.blocks.get(call.op.inputs[0], (1, 1))
    return rows * block[0], columns * block[1]


def kept_apart(call: Call, view: View) -> View:
    """Note that a convolution's result is of pixels in blocks, as its operand is."""
    block = call.blocks.get(call.op.inputs[0])
    if block is not None:
        if stride(call) != (1, 1):
            call.refuse("a stride between pixels in blocks", "Use a convolution with dilation.")
        call.blocks[call.op.outputs[0]] = block
    return view


def _positive(call: Call, what: str, names: tuple[str, str], default: int) -> Pair:
    vertical, horizontal = (call.option(name, default) for name in names)
    if min(vertical, horizontal) < 1:
        call.refuse(f"a {what} of {(vertical, horizontal)}", "It is at least one.")
    return vertical, horizontal


def padding(call: Call, size: Sequence[int], kernel: Pair) -> Padding:
    """Return (top, bottom, left, right) pixels around an input of ``size``."""
    how = call.option("Padding")
    if how == _VALID:
        return (0, 0, 0, 0)
    if how != _SAME:
        call.refuse(f"padding {how}", "It is SAME or VALID.")
    steps = stride(call)
    apart = dilation(call) if hasattr(call.op.options, "DilationHFactor") else (1, 1)
    block = call.blocks.get(call.op.inputs[0], (1, 1))
    ends: list[int] = []
    for n, k, s, d, b in zip(size, kernel, steps, apart, block, strict=True):
        # As little as can be, the odd pixel at the end; of each pixel in a block.
        own = n // b
        total = max(0, ((own - 1) // s) * s + (k - 1) * (d // b) + 1 - own)
        ends += [total // 2 * b, (total - total // 2) * b]
    return ends[0], ends[1], ends[2], ends[3]


def kernel_of(call: Call) -> Pair:
    """Return the window of a pool, (rows, columns)."""
    return _positive(call, "window", ("FilterHeight", "FilterWidth"), 0)


def average_pool(call: Call) -> View:
    """AVERAGE_POOL_2D: means of windows without padding."""
    x, kernel = call.channels_first(), kernel_of(call)
    pads = padding(call, x.shape[1:], kernel)
    if any(pads):
        call.refuse(
            f"an average pool with padding {pads}, which divides by the pixels inside",
            "Use padding='valid', or a depthwise convolution.",
        )
    area = kernel[0] * kernel[1]
    y = call.builder.avg_pool(call.where, x, kernel, stride(call), pads, float(area), True)
    return call.channels_last(call.quantized(y))


def max_pool(call: Call) -> View:
    """MAX_POOL_2D: maxima of windows."""
    x, kernel = call.channels_first(), kernel_of(call)
    pads = padding(call, x.shape[1:], kernel)
    y = call.builder.max_pool(call.where, x, kernel, stride(call), pads)
    return call.channels_last(call.quantized(y))


def mean(call: Call) -> View:
    """MEAN: over rows and columns."""
    x = call.channels_first()
    axes = {int(axis) % 4 for axis in call.constant(1, "INT32").reshape(-1)}
    if axes != {1, 2}:
        call.refuse(f"a mean over the axes {sorted(axes)}", "Take rows and columns, (1, 2).")
    size = (x.shape[1], x.shape[2])
    if size[0] * size[1] > 1 << 12:
        call.refuse(f"a mean of {size[0] * size[1]} pixels", "Use an average pool before.")
    y = call.builder.avg_pool(call.where, x, size, size, (0, 0, 0, 0), float(size[0] * size[1]))
    mean = call.quantized(y, call.grid)
    return call.builder.reshaped(mean, call.result.shape[1:])


def resize_bilinear(call: Call) -> View:
    """RESIZE_BILINEAR of one pixel, or to the same size; the host has all others."""
    same_grid(call, 0)
    x, shape = call.channels_first(), call.broadcast()
    if x.shape[1:] not in ((1, 1), shape[:2]) or len(shape) != 3:
        call.refuse(
            f"interpolation from {x.shape[1:]} to {shape[:2]}",
            "Use RESIZE_NEAREST_NEIGHBOR by whole factors.",
        )
    return call.channels_last(
        call.builder.move([x], lambda places: np.broadcast_to(places[0], (x.shape[0], *shape[:2])))
    )
