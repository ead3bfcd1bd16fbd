"""Deformable sampling: every tap of a kernel at a position of its own, between pixels.

The definition is that of torchvision's ``deform_conv2d``: bilinear interpolation between the four
pixels around the position, each of which counts as zero outside the image.

Source: Dai et al., Deformable Convolutional Networks, 2017, arXiv:1703.06211; Zhu et al.,
Deformable ConvNets v2, 2018, arXiv:1811.11168.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from tilewright.errors import Error

Pair: TypeAlias = tuple[int, int]


def output_size(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Count the positions (rows, columns) of a kernel on an image of ``size``.

    Raises
    ------
    Error  If there is none.
    """
    rows, columns = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    if min(*size, rows, columns) < 1:
        raise Error(
            f"an image of {size[0]} x {size[1]} pixels has no position for a kernel {kernel} with "
            f"padding {padding} and dilation {dilation}: there must be at least one"
        )
    return rows, columns


def sample(
    x: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    offset_groups: int,
) -> Tensor:
    """Sample an image under every tap of a kernel; differentiable in all three tensors.

    Parameters
    ----------
    x : (N, C, H, W)
    offset : (N, 2 * offset_groups * R * S, H', W') in pixels; channels by offset group, then tap
        (row by row), then vertical and horizontal
    mask : (N, offset_groups * R * S, H', W') or None, a factor for each sample

    Returns
    -------
    (N, C, H' * R, W' * S): the samples of a position are a block of R x S pixels.

    Raises
    ------
    Error  If a shape does not fit; the message says what it must be.
    """
    (n, channels, height, width), (r, s) = x.shape, kernel
    rows, columns = output_size((height, width), kernel, stride, padding, dilation)
    taps = r * s
    if channels % offset_groups:
        raise Error(f"offset_groups={offset_groups} must divide the {channels} channels")
    for name, tensor, count in (("offset", offset, 2 * taps), ("mask", mask, taps)):
        wanted = (n, offset_groups * count, rows, columns)
        if tensor is not None and tuple(tensor.shape) != wanted:
            raise Error(f"{name} must have the shape {wanted}, not {tuple(tensor.shape)}")

    def grid(count: int, step: int, start: int) -> Tensor:
        return torch.arange(count, dtype=x.dtype, device=x.device) * step + start

    shift = offset.reshape(n, offset_groups, r, s, 2, rows, columns)
    y = shift[:, :, :, :, 0] + (
        grid(rows, stride[0], -padding[0])[:, None] + grid(r, dilation[0], 0)[:, None, None, None]
    )
    z = shift[:, :, :, :, 1] + (
        grid(columns, stride[1], -padding[1]) + grid(s, dilation[1], 0)[:, None, None]
    )
    # One row of channels per pixel, so that a pixel is fetched whole.
    per_group = channels // offset_groups
    pixels = x.reshape(n * offset_groups, per_group, height * width).transpose(1, 2)
    pixels = pixels.reshape(-1, per_group)
    image = torch.arange(n * offset_groups, device=x.device).reshape(n, -1, 1, 1, 1, 1)
    top, left = y.detach().floor(), z.detach().floor()
    result: Tensor | None = None
    for down in (0, 1):
        for right in (0, 1):
            row, column = top + down, left + right
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            # Linear in the position; its distance from the opposite corner.
            weight = (y - top if down else 1 - (y - top)) * (z - left if right else 1 - (z - left))
            place = torch.where(inside, row * width + column, 0).long() + image * (height * width)
            part = pixels.index_select(0, place.reshape(-1))
            part = part * (weight * inside).reshape(-1, 1)
            result = part if result is None else result + part
    assert result is not None
    if mask is not None:
        result = result * mask.reshape(-1, 1)
    result = result.reshape(n, offset_groups, r, s, rows, columns, per_group)
    return result.permute(0, 1, 6, 4, 2, 5, 3).reshape(n, channels, rows * r, columns * s)


@torch.library.custom_op("tilewright::deform_conv2d", mutates_args=())
def _exported(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    mask: Tensor | None,
    groups: int,
    offset_groups: int,
) -> Tensor:
    (a, b), (c, d), (e, f) = stride, padding, dilation
    return deform_conv2d(
        x, offset, weight, bias, (a, b), (c, d), (e, f), mask,
        groups=groups, offset_groups=offset_groups,
    )  # fmt: skip


@_exported.register_fake
def _shape(x: Tensor, offset: Tensor, weight: Tensor, *rest: object) -> Tensor:
    return x.new_empty(len(x), weight.shape[0], *offset.shape[2:])


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    mask: Tensor | None = None,
    *,
    groups: int = 1,
    offset_groups: int = 1,
) -> Tensor:
    """Deformable convolution, v2 with a ``mask``, else v1; tensors as :func:`sample` takes them.

    Raises
    ------
    Error  If a shape does not fit; the message says what it must be.
    """
    if torch.compiler.is_exporting():  # one operator of the exported graph
        geometry = ([*stride], [*padding], [*dilation])
        result: Tensor = torch.ops.tilewright.deform_conv2d(
            x, offset, weight, bias, *geometry, mask, groups, offset_groups
        )
        return result
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    samples = sample(x, offset, mask, kernel, stride, padding, dilation, offset_groups)
    return F.conv2d(samples, weight, bias, stride=kernel, groups=groups)
