"""Volumes (C, D, H, W): their slices are channels, and so everything on them is two-dimensional.

Channel ``c * D + d`` is slice d of channel c. A kernel of several slices is a convolution whose
weights are zero between slices that are too far apart; whoever lowers it leaves those out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import View
from tilewright.errors import UnsupportedError

Triple: TypeAlias = tuple[int, int, int]
"""Depth, vertical, horizontal."""
Ends: TypeAlias = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Before and after, of depth, rows and columns."""

#: Weights between slices of a volume, zeros included: half a gigabyte in float64.
MOST_WEIGHTS = 1 << 26


def conv(
    builder: Builder,
    where: str,
    volume: View,
    weight: Tensor,
    bias: Tensor | None,
    stride: Triple,
    padding: Ends,
    dilation: Triple,
    groups: int,
    scale: Tensor | None = None,
    bits: int = 8,
) -> View:
    """Convolve (C, D, H, W) with (K, C / groups, T, R, S); zeros around it become padding.

    ``scale`` (K,), ``bits``: as of :meth:`Builder.conv`.

    Raises
    ------
    UnsupportedError  If there are no results, or more weights between slices than fit.
    """
    volume, around = _unpadded(builder, volume)
    pads = [(a + c, b + d) for (a, b), (c, d) in zip(padding, around, strict=True)]
    slices, depth = volume.shape[1], weight.shape[2]
    made = (slices + sum(pads[0]) - dilation[0] * (depth - 1) - 1) // stride[0] + 1
    if made < 1:
        raise UnsupportedError(
            where, f"a kernel of {depth} slices on {slices}", "Give it more slices."
        )
    taps = [
        (o, o * stride[0] + t * dilation[0] - pads[0][0], t)
        for o in range(made)
        for t in range(depth)
    ]
    result = builder.conv(
        where,
        flat(builder, volume),
        _between(where, weight, made, slices, taps),
        _repeated(bias, made),
        stride[1:],
        (*pads[1], *pads[2]),
        dilation[1:],
        groups,
        _repeated(scale, made),
        bits,
    )
    return deep(builder, result, made)


def conv_transpose(
    builder: Builder,
    where: str,
    volume: View,
    weight: Tensor,
    bias: Tensor | None,
    stride: Triple,
    padding: Ends,
    output_padding: Triple,
    groups: int,
    scale: Tensor | None = None,
    bits: int = 8,
) -> View:
    """Convolve (C, D, H, W), transposed; ``weight`` (K, C / groups, T, R, S).

    Raises
    ------
    UnsupportedError  If there are more weights between slices than fit.
    """
    slices, depth = volume.shape[1], weight.shape[2]
    made = (slices - 1) * stride[0] - sum(padding[0]) + depth + output_padding[0]
    taps = [(i * stride[0] + t - padding[0][0], i, t) for i in range(slices) for t in range(depth)]
    result = builder.conv_transpose(
        where,
        flat(builder, volume),
        _between(where, weight, made, slices, taps),
        _repeated(bias, made),
        stride[1:],
        (*padding[1], *padding[2]),
        output_padding[1:],
        groups,
        _repeated(scale, made),
        bits,
    )
    return deep(builder, result, made)


def mixed(builder: Builder, where: str, volume: View, matrix: Tensor) -> View:
    """Let slice o be the sum of slices i, each times ``matrix[o, i]``, in every channel."""
    made, slices = matrix.shape
    if made == slices and torch.equal(matrix, torch.eye(slices, dtype=matrix.dtype)):
        return volume
    channels = volume.shape[0]
    weight = matrix.double().repeat(channels, 1)[:, :, None, None]
    result = builder.conv(where, flat(builder, volume), weight, None, groups=channels)
    return deep(builder, result, made)


def largest(
    builder: Builder, where: str, volume: View, size: int, stride: int, before: int, made: int,
    dilation: int,
) -> View:  # fmt: skip
    """Let slice o be the maximum of ``size`` slices from ``o * stride - before`` on."""
    slices = volume.shape[1]
    first = np.arange(made) * stride - before
    inside = [
        [i for i in first[o] + np.arange(size) * dilation if 0 <= i < slices] for o in range(made)
    ]
    result = None
    for t in range(max(map(len, inside))):
        # A window that has fewer slices has one of them again.
        part = builder.taken(volume, [int(w[min(t, len(w) - 1)]) for w in inside], 1)
        result = part if result is None else builder.binary(where, "maximum", result, part)
    assert result is not None
    return result


def flat(builder: Builder, volume: View) -> View:
    """Return the feature map whose channels are a volume's slices."""
    channels, slices, *image = volume.shape
    return builder.reshaped(volume, (channels * slices, *image))


def deep(builder: Builder, image: View, slices: int) -> View:
    """Return the volume whose slices are an image's channels."""
    channels, *size = image.shape
    return builder.reshaped(image, (channels // slices, slices, *size))


def _repeated(values: Tensor | None, made: int) -> Tensor | None:
    return None if values is None else values.repeat_interleave(made)


def _between(
    where: str, weight: Tensor, made: int, slices: int, taps: Sequence[tuple[int, int, int]]
) -> Tensor:
    """Return (K * made, C / groups * slices, R, S) weights; ``taps`` are of results and inputs."""
    kernels, per_group, _, *size = weight.shape
    count = kernels * made * per_group * slices * math.prod(size)
    if count > MOST_WEIGHTS:
        raise UnsupportedError(
            where,
            f"{count} weights between {slices} slices of its input and {made} of its results",
            f"Give the model fewer slices at once: {MOST_WEIGHTS} weights at most.",
        )
    result = torch.zeros(kernels, made, per_group, slices, *size, dtype=torch.float64)
    for o, i, t in taps:
        if 0 <= i < slices and 0 <= o < made:
            result[:, o, :, i] = weight[:, :, t].double()
    return result.reshape(kernels * made, per_group * slices, *size)


def _unpadded(builder: Builder, volume: View) -> tuple[View, Ends]:
    """Return what a view has zeros around, and how many; the view itself if that is not all."""
    none: Ends = ((0, 0), (0, 0), (0, 0))
    index = volume.index
    if index is None or len(volume.sources) > 1 or bool((index >= 0).all()):
        return volume, none
    inside = np.argwhere((index >= 0).any(axis=0))
    if not inside.size:
        return volume, none
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    core = index[:, low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    if core.min() < 0:
        return volume, none
    depth, rows, columns = (
        (int(a), int(n - b)) for a, b, n in zip(low, high, index.shape[1:], strict=True)
    )
    return builder.move([View(volume.sources, core.shape, core)], lambda p: p[0]), (
        depth, rows, columns,
    )  # fmt: skip
