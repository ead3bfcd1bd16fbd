"""Convolutions, pools and interpolation of volumes (C, D, H, W)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tilewright.compiler.importers.export.call import Absent, Call, Fringed, handles
from tilewright.compiler.importers.export.windows import (
    average,
    average_to,
    beyond,
    interpolated,
    maximum,
)
from tilewright.compiler.quantized import volumes
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.volumes import Ends, Triple


def _volume(call: Call, x: Any) -> View:
    volume = call.tensor(x)
    if len(volume.shape) != 4:
        call.refuse(f"a volume of the shape (N, *{volume.shape})", "Give it (N, C, D, H, W).")
    return volume


def _triple(value: Any) -> Triple:
    numbers = [int(v) for v in value] if isinstance(value, list | tuple) else [int(value)]
    depth, vertical, horizontal = numbers * 3 if len(numbers) == 1 else numbers
    return depth, vertical, horizontal


@handles("conv3d")
def conv3d(
    call: Call,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> View:
    """Becomes Conv: slices are channels, and a kernel's slices weights between them."""
    w, volume = call.constant(weight, "a convolution with weights"), _volume(call, x)
    apart = _triple(dilation)
    pads = []
    for axis, (k, d) in enumerate(zip(w.shape[2:], apart, strict=True)):
        total = d * (k - 1)  # an odd one goes behind
        own = total // 2 if padding == "same" else 0 if padding == "valid" else -1
        before = _triple(padding)[axis] if own < 0 else own
        pads.append((before, total - before if padding == "same" else before))
    ends: Ends = (pads[0], pads[1], pads[2])
    return volumes.conv(
        call.builder, call.where, volume, w, call.bias(bias), _triple(stride), ends, apart, groups
    )


@handles("conv_transpose3d")
def conv_transpose3d(
    call: Call, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any,
    groups: int, dilation: Any,
) -> View:  # fmt: skip
    """Becomes ConvTranspose, as conv3d becomes Conv."""
    w = call.constant(weight, "a transposed convolution with weights")
    (c, per_group, *size), apart = w.shape, _triple(dilation)
    if apart != (1, 1, 1):  # the zeros between the taps
        spread = w.new_zeros(
            c, per_group, *((n - 1) * d + 1 for n, d in zip(size, apart, strict=True))
        )
        spread[:, :, :: apart[0], :: apart[1], :: apart[2]] = w
        w, size = spread, list(spread.shape[2:])
    own = w.reshape(groups, c // groups, per_group, *size).transpose(1, 2)
    own = own.reshape(groups * per_group, c // groups, *size)
    pads = _triple(padding)
    ends: Ends = ((pads[0], pads[0]), (pads[1], pads[1]), (pads[2], pads[2]))
    return volumes.conv_transpose(
        call.builder, call.where, _volume(call, x), own, call.bias(bias), _triple(stride), ends,
        _triple(output_padding), groups,
    )  # fmt: skip


@handles("max_pool3d")
def max_pool3d(
    call: Call, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> View:
    """Becomes MaxPool, and maxima of slices."""
    volume, k, pads, apart = _volume(call, x), _triple(kernel), _triple(padding), _triple(dilation)
    step = _triple(stride) if stride else k
    builder, slices = call.builder, volume.shape[1]
    flat = Fringed(volumes.flat(builder, volume), (0, 0, 0, 0))
    image = maximum(call, flat, k[1:], step[1:], pads[1:], apart[1:], ceil)
    more = beyond(slices, k[0], step[0], pads[0], apart[0]) if ceil else 0
    made = (slices + 2 * pads[0] + more - apart[0] * (k[0] - 1) - 1) // step[0] + 1
    pooled = volumes.deep(builder, image, slices)
    if (k[0], step[0], made) == (1, 1, slices):
        return pooled
    return volumes.largest(builder, call.where, pooled, k[0], step[0], pads[0], made, apart[0])


@handles("max_pool3d_with_indices")
def max_pool3d_with_indices(
    call: Call, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> list[Any]:
    """Becomes what max_pool3d does; nothing may read the indices."""
    indices = Absent(call.where, "the indices of maxima")
    return [max_pool3d(call, x, kernel, stride, padding, dilation, ceil), indices]


def _along_depth(size: int, pool: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the matrix by which a pool or an interpolation makes slices of slices."""
    unit = torch.eye(size, dtype=torch.float64)[:, None, :, None, None]
    return pool(unit)[:, 0, :, 0, 0].T


@handles("avg_pool3d")
def avg_pool3d(
    call: Call, x: Any, kernel: Any, stride: Any, padding: Any, ceil: bool, count_pad: bool,
    divisor: Any,
) -> View:  # fmt: skip
    """Becomes AvgPool, and means of slices."""
    volume, k, pads = _volume(call, x), _triple(kernel), _triple(padding)
    step = _triple(stride) if stride else k
    builder, slices = call.builder, volume.shape[1]
    image = average(
        call, volumes.flat(builder, volume), k[1:], step[1:], pads[1:], ceil, count_pad, None
    )
    matrix = _along_depth(
        slices,
        lambda unit: F.avg_pool3d(
            unit, (k[0], 1, 1), (step[0], 1, 1), (pads[0], 0, 0), ceil, count_pad
        ),
    )
    if divisor is not None:
        matrix = matrix * (k[0] * k[1] * k[2] / divisor)
    return volumes.mixed(builder, call.where, volumes.deep(builder, image, slices), matrix)


@handles("adaptive_avg_pool3d", "_adaptive_avg_pool3d")
def adaptive_avg_pool3d(call: Call, x: Any, size: Any) -> View:
    """Becomes AvgPool or Resample, and means of slices."""
    volume, builder = _volume(call, x), call.builder
    given = size if isinstance(size, list | tuple) else [size] * 3
    wanted = [n if o is None else int(o) for o, n in zip(given, volume.shape[1:], strict=True)]
    slices = volume.shape[1]
    image = average_to(call, volumes.flat(builder, volume), (wanted[1], wanted[2]))
    matrix = _along_depth(slices, lambda unit: F.adaptive_avg_pool3d(unit, (wanted[0], 1, 1)))
    return volumes.mixed(builder, call.where, volumes.deep(builder, image, slices), matrix)


@handles("upsample_trilinear3d")
def interpolate_volume(call: Call, x: Any, size: Any, corners: bool, *scales: Any) -> View:
    """Becomes Bilinear or Resample, and sums of slices."""
    volume, builder = _volume(call, x), call.builder
    slices = volume.shape[1]
    factors: list[Any] = []
    for s in scales:  # a list of all, or one by one
        factors += list(s) if isinstance(s, list | tuple) else [s]
    own = factors[0] if factors else None
    deep = int(slices * float(own or 1)) if size is None else int(size[0])
    target = torch.ops.aten.upsample_bilinear2d.default
    image = interpolated(
        call, volumes.flat(builder, volume), None if size is None else size[1:], corners,
        factors[1:], target,
    )  # fmt: skip
    matrix = _along_depth(
        slices,
        lambda unit: torch.ops.aten.upsample_trilinear3d.default(
            unit, [deep, 1, 1], corners, own, None, None
        ),
    )
    return volumes.mixed(builder, call.where, volumes.deep(builder, image, slices), matrix)
