"""Convolutions whose kernels depend on the inputs, for each image its own.

Written for a batch, images are groups: ``conv2d(x.view(1, N * C, H, W), w.view(N * K, C / g, R,
S), groups=N * g)``; for one image, ``conv2d(x, w.view(K, C / g, R, S), groups=g)``.
"""

from __future__ import annotations

from typing import Any

import torch

from tilewright.compiler.importers.export.call import Call, Folded
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.passes.taps import MAX_STRIDE


def with_kernels(
    call: Call, x: Any, weight: View | Folded, bias: Any, stride: q.Pair, padding: q.Padding,
    dilation: q.Pair, groups: int,
) -> View | Folded:  # fmt: skip
    """Return a convolution of each image with its own kernels."""
    builder, where, batch = call.builder, call.where, call.batch
    if isinstance(weight, Folded) and (weight.axis, weight.outer) != (0, 1):
        call.refuse("kernels that stand before the batch", "Give it a tensor (N * K, C / g, R, S).")
    flat = (
        weight.view if isinstance(weight, Folded) else builder.reshaped(weight, (1, *weight.shape))
    )
    image = _image(call, x)
    own_groups = groups
    if isinstance(x, Folded):
        own_groups, rest = divmod(groups, batch)
        if rest:
            call.refuse("a convolution in which images share groups", "Give each image its own.")
    elif batch > 1:
        call.refuse(
            "a convolution of a batch with the kernels of one image",
            "Fold the batch into channels and groups, or calibrate with one image at a time.",
        )
    kernels, each, rows, columns = flat.shape
    maps = builder.realized(where, builder.reshaped(flat, (kernels * each, rows, columns)))
    taps = View((maps,), (kernels, each, rows, columns))
    if each == 1:
        taps = builder.reshaped(taps, (kernels, rows, columns))
    else:
        taps = _beside(builder, where, taps)
    names = builder.realized(where, image), builder.realized(where, taps)
    op = q.DynamicConv(
        where, names, builder.unique(where), (rows, columns), stride, padding, dilation, own_groups
    )
    name = builder.emit(op)
    result = View((name,), builder.shape(name))
    offset = call.bias(bias)
    if offset is not None:
        per_kernel = call.image(offset.reshape(-1, kernels, 1, 1))
        result = builder.affine(where, result, torch.ones_like(per_kernel), per_kernel)
    if not isinstance(x, Folded):
        return result
    return Folded(builder.reshaped(result, (1, *result.shape)), 1, 1)


def _image(call: Call, x: Any) -> View:
    """Return one image of what is convolved."""
    if isinstance(x, Folded):
        if len(x.view.shape) != 4 or x.view.shape[0] != 1 or (x.axis, x.outer) != (1, 1):
            call.refuse("a convolution of images in groups", "Give it a tensor (1, N * C, H, W).")
        return call.builder.reshaped(x.view, x.view.shape[1:])
    image = call.tensor(x)
    if len(image.shape) != 3:
        call.refuse(f"a convolution of (N, *{image.shape})", "Give it a tensor (N, C, H, W).")
    return image


def _beside(builder: Builder, where: str, taps: View) -> View:
    """Return (K, C, R, S) kernels as (K, R, S * C), with the channels of a tap side by side.

    A few channels at a time, as a transposed convolution moves them.
    """
    kernels, left, rows, columns = taps.shape
    while left > 1:
        step = next((n for n in range(MAX_STRIDE, 1, -1) if left % n == 0), left)
        left //= step
        apart = builder.reshaped(taps, (kernels, step, left, rows, columns))
        apart = builder.transposed(apart, (0, 2, 3, 4, 1))
        columns *= step
        name = builder.realized(where, builder.reshaped(apart, (kernels * left, rows, columns)))
        taps = View((name,), (kernels, left, rows, columns))
    return builder.reshaped(taps, (kernels, rows, columns))
