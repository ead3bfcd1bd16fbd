"""Slice-by-slice convolution: every row, or column, of a map is added to by the one before it.

Source: Pan et al., Spatial as Deep: Spatial CNN for Traffic Scene Understanding, 2018,
arXiv:1712.06080.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tilewright.errors import Error

Direction: TypeAlias = Literal["down", "up", "right", "left"]


def recurrence(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, direction: Direction = "down"
) -> Tensor:
    """Add to each slice what a convolution and a ReLU make of the result before it.

    ``y[0] = x[0]``, and ``y[i] = x[i] + relu(conv(y[i - 1]))`` along the slices, which are padded
    with zeros to keep their length; differentiable.

    Parameters
    ----------
    x : (N, C, H, W)
    weight : (C, C, T), T odd
    bias : (C,) or None
    direction : "down" and "up" take rows, from the first and from the last on; "right" and "left"
        columns

    Returns
    -------
    (N, C, H, W)

    Raises
    ------
    Error  If a shape or the direction is none of these.
    """
    if direction not in ("down", "up", "right", "left"):
        raise Error(f"direction must be 'down', 'up', 'right' or 'left', not {direction!r}")
    channels = x.shape[1] if x.ndim == 4 else 0
    if not channels or weight.shape[:2] != (channels, channels) or weight.shape[-1] % 2 == 0:
        raise Error(
            "a recurrence takes x of (N, C, H, W) and weights of (C, C, T) with an odd T, not "
            f"{tuple(x.shape)} and {tuple(weight.shape)}"
        )
    columns, backwards = direction in ("right", "left"), direction in ("up", "left")
    if torch.compiler.is_exporting():  # one operator of the exported graph
        result: Tensor = torch.ops.tilewright.recurrence(x, weight, bias, columns, backwards)
        return result
    return slice_by_slice(x, weight, bias, columns=columns, backwards=backwards)


def slice_by_slice(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    columns: bool,
    backwards: bool,
    rounded: Callable[[Tensor], Tensor] = lambda value: value,
) -> Tensor:
    """Return what :func:`recurrence` does; ``columns``, ``backwards``: its direction.

    ``rounded`` : what becomes of messages and of sums
    """
    axis = 3 if columns else 2
    slices = list(x.unbind(axis))
    if backwards:
        slices.reverse()
    for i in range(1, len(slices)):
        message = F.conv1d(slices[i - 1], weight, bias, padding=weight.shape[2] // 2)
        slices[i] = rounded(slices[i] + rounded(message.relu()))
    if backwards:
        slices.reverse()
    return torch.stack(slices, axis)


@torch.library.custom_op("tilewright::recurrence", mutates_args=())
def _exported(
    x: Tensor, weight: Tensor, bias: Tensor | None, columns: bool, backwards: bool
) -> Tensor:
    return slice_by_slice(x, weight, bias, columns=columns, backwards=backwards)


@_exported.register_fake
def _shape(x: Tensor, *rest: object) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


class RecurrentConv(nn.Conv1d):
    """Slice-by-slice convolution of a map, as the layers of SCNN; see :func:`recurrence`.

    ``tw.quantize`` makes one operator of it, which the engine runs row by row with nothing copied
    between. A loop over rows and ``torch.cat`` give the same numbers, in as many layers as rows.

    Parameters
    ----------
    channels : int, C
    kernel_size : int, T, odd; along a slice
    direction : "down", "up", "right" or "left"
    bias : bool

    Raises
    ------
    Error  If the kernel is even, or the direction is another.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 9,
        direction: Direction = "down",
        *,
        bias: bool = False,
    ) -> None:
        super().__init__(channels, channels, kernel_size, padding=kernel_size // 2, bias=bias)
        if kernel_size % 2 == 0:
            raise Error(f"the kernel must be odd, not {kernel_size}")
        if direction not in ("down", "up", "right", "left"):
            raise Error(f"direction must be 'down', 'up', 'right' or 'left', not {direction!r}")
        self.direction: Direction = direction

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W) of the same shape as x."""
        return recurrence(x, self.weight, self.bias, self.direction)
