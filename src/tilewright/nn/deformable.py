"""Deformable convolution in floats, with what makes it cheap in hardware as options.

Source of the options: Dong et al., CoDeNet: Efficient Deployment of Input-Adaptive Object Detection
on Embedded FPGAs, 2020, arXiv:2006.08357.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from tilewright.errors import Error
from tilewright.nn.sampling import Pair, deform_conv2d

Modulation: TypeAlias = Literal["sigmoid", "clip"]
"""What limits a mask to 0..1. In hardware, clipping is free and a sigmoid takes a table."""


def square_offsets(distance: Tensor, kernel: Pair) -> Tensor:
    """Turn one distance per position into offsets that scale the kernel around its centre.

    Parameters
    ----------
    distance : (N, G, H, W)

    Returns
    -------
    (N, 2 * G * R * S, H, W): tap (r, s) moves by ``distance * (r - centre, s - centre)``.
    """
    n, _, height, width = distance.shape
    factors = square_factors(kernel).to(distance)
    return (distance[:, :, None] * factors[:, None, None]).reshape(n, -1, height, width)


def square_factors(kernel: Pair) -> Tensor:
    """Return the (2 * R * S,) integer factors of :func:`square_offsets`.

    Raises
    ------
    Error  If a side of the kernel is even, so that it has no centre.
    """
    if not all(k % 2 for k in kernel):
        raise Error(f"square offsets need a kernel with a centre: odd sides, not {kernel}")
    r, s = (torch.arange(k) - k // 2 for k in kernel)
    return torch.stack(torch.meshgrid(r, s, indexing="ij"), dim=-1).reshape(-1)


def round_straight_through(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes as if nothing had happened."""
    return x + (x.round() - x).detach()


class DeformConv2d(nn.Conv2d):
    """Deformable convolution, v1 and v2, with offsets from outside.

    ``forward(x, offset, mask=None)`` takes what torchvision's layer of the same name takes.

    Parameters
    ----------
    in_channels .. bias : as nn.Conv2d; padding is zeros, given as numbers
    offset_groups : int, divides in_channels; each group of channels has offsets of its own
    square : offsets are one distance per offset group and position, which scales the kernel
    integer : offsets are rounded, so that nothing is interpolated; gradients pass
    bound : float or None, offsets are clipped to ``-bound..bound`` pixels
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        offset_groups: int = 1,
        square: bool = False,
        integer: bool = False,
        bound: float | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        )
        check_options(self, offset_groups, square)
        if bound is not None and not bound > 0:
            raise Error(f"bound must be positive or None, not {bound}")
        self.offset_groups = offset_groups
        self.square = square
        self.integer = integer
        self.bound = bound

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Return the layer's output.

        Parameters
        ----------
        x : (N, C, H, W)
        offset : (N, 2 * offset_groups * R * S, H', W') in pixels: by offset group, tap, then
            vertical and horizontal; with ``square``, (N, offset_groups, H', W')
        mask : (N, offset_groups * R * S, H', W') or None

        Raises
        ------
        Error  If a shape does not fit.
        """
        kernel = _pair(self.kernel_size)
        if self.bound is not None:
            offset = offset.clamp(-self.bound, self.bound)
        if self.integer:
            offset = round_straight_through(offset)
        if self.square:
            offset = square_offsets(offset, kernel)
        return deform_conv2d(
            x,
            offset,
            self.weight,
            self.bias,
            _pair(self.stride),
            _pair(self.padding),
            _pair(self.dilation),
            mask,
            groups=self.groups,
            offset_groups=self.offset_groups,
        )


class DeformConv2dPack(nn.Module):
    """Deformable convolution with the convolutions that compute its offsets and its mask.

    Both are as large as the kernel and begin with weights of zero: an ordinary convolution, of
    which a mask begins by passing one half.

    Parameters
    ----------
    in_channels .. bound : as :class:`DeformConv2d`
    modulation : "sigmoid", "clip" or None, what makes the mask; None for v1
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        offset_groups: int = 1,
        square: bool = False,
        integer: bool = False,
        bound: float | None = None,
        modulation: Modulation | None = None,
    ) -> None:
        super().__init__()
        self.conv = DeformConv2d(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            offset_groups=offset_groups, square=square, integer=integer, bound=bound,
        )  # fmt: skip
        offsets, masks = head_channels(_pair(self.conv.kernel_size), offset_groups, square)
        window: Any = (kernel_size, stride, padding, dilation)
        self.offset_conv = nn.Conv2d(in_channels, offsets, *window)
        self.mask_conv = nn.Conv2d(in_channels, masks, *window) if modulation else None
        self.modulation = modulation
        start_as_convolution(self.offset_conv, self.mask_conv, modulation)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output (N, K, H', W')."""
        mask = None
        if self.mask_conv is not None:
            mask = self.mask_conv(x)
            mask = mask.sigmoid() if self.modulation == "sigmoid" else mask.clamp(0, 1)
        result: Tensor = self.conv(x, self.offset_conv(x), mask)
        return result


def head_channels(kernel: Pair, offset_groups: int, square: bool) -> tuple[int, int]:
    """Return the channels of offsets and of a mask."""
    taps = offset_groups * kernel[0] * kernel[1]
    return offset_groups if square else 2 * taps, taps


def start_as_convolution(
    offset_conv: nn.Conv2d,
    mask_conv: nn.Conv2d | None,
    modulation: Modulation | None,
    spread: float = 0.0,
) -> None:
    """Set the weights of a head so that offsets are zero and masks one half.

    ``spread``: standard deviation of the weights.
    """
    for conv in (offset_conv, mask_conv):
        if conv is not None:
            nn.init.normal_(conv.weight, std=spread)
            assert conv.bias is not None
            nn.init.constant_(conv.bias, 0.5 if conv is mask_conv and modulation == "clip" else 0)


def check_options(layer: nn.Conv2d, offset_groups: int, square: bool) -> None:
    """Check the options that float and quantized layers share.

    Raises
    ------
    Error  For one that is out of range.
    """
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        raise Error(f"padding must be zeros, given as numbers, not {layer.padding!r}")
    if offset_groups < 1 or layer.in_channels % offset_groups:
        raise Error(f"offset_groups must divide in_channels, {layer.in_channels}: {offset_groups}")
    if square:
        square_factors(_pair(layer.kernel_size))


def _pair(value: Any) -> Pair:
    vertical, horizontal = value
    return int(vertical), int(horizontal)
