"""What moves elements, and constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from tilewright.compiler.quantized.ops.base import Op, Pair
from tilewright.compiler.quantized.types import Shape

IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Constant(Op):
    """A feature map that does not depend on the inputs; ``value`` (C, H, W) float64."""

    value: Tensor

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        c, h, w = self.value.shape
        return c, h, w

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Return the value of one image, which broadcasts."""
        return self.value[None]


@dataclass(frozen=True, eq=False)
class Move(Op):
    """Any element anywhere: a view, a slice, a concatenation, padding with zeros.

    Parameters
    ----------
    index : (C, H, W), place of each element in the inputs, flattened one after another; -1 is zero
    """

    index: IndexArray
    keeps_grid = True

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        c, h, w = self.index.shape
        return c, h, w

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Gather."""
        count = max(len(x) for x in inputs)
        flat = torch.cat([x.expand(count, -1, -1, -1).flatten(1) for x in inputs], 1)
        flat = F.pad(flat, (0, 1))  # index -1
        return flat[:, torch.from_numpy(self.index.reshape(-1))].reshape(count, *self.index.shape)


@dataclass(frozen=True, eq=False)
class Resample(Op):
    """``rows @ x @ columns.T`` in every channel: interpolation, pools of unequal windows.

    Parameters
    ----------
    rows : (H', H) float64
    columns : (W', W) float64
    """

    rows: Tensor
    columns: Tensor

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        return inputs[0][0], self.rows.shape[0], self.columns.shape[0]

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Multiply by both matrices."""
        (x,) = inputs
        return self.rows.to(x.dtype) @ x @ self.columns.to(x.dtype).T


@dataclass(frozen=True, eq=False)
class Concat(Op):
    """Concatenation along channels."""

    keeps_grid = True

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        return sum(c for c, _, _ in inputs), *inputs[0][1:]

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Concatenate."""
        count = max(len(x) for x in inputs)
        return torch.cat([x.expand(count, -1, -1, -1) for x in inputs], 1)


@dataclass(frozen=True, eq=False)
class Select(Op):
    """Channels in any order: ``channels`` (K,)."""

    channels: IndexArray
    keeps_grid = True

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        return len(self.channels), *inputs[0][1:]

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Select."""
        return inputs[0][:, torch.from_numpy(self.channels)]


@dataclass(frozen=True, eq=False)
class Upsample(Op):
    """Every pixel ``factor`` (vertical, horizontal) times."""

    factor: Pair
    keeps_grid = True

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        c, h, w = inputs[0]
        return c, h * self.factor[0], w * self.factor[1]

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Repeat."""
        vertical, horizontal = self.factor
        return inputs[0].repeat_interleave(vertical, 2).repeat_interleave(horizontal, 3)


@dataclass(frozen=True, eq=False)
class PixelShuffle(Op):
    """Channels to blocks of ``factor`` x ``factor`` pixels, as nn.PixelShuffle."""

    factor: int
    keeps_grid = True

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        c, h, w = inputs[0]
        return c // self.factor**2, h * self.factor, w * self.factor

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Shuffle."""
        return F.pixel_shuffle(inputs[0], self.factor)


@dataclass(frozen=True, eq=False)
class PixelUnshuffle(Op):
    """Blocks of ``factor`` x ``factor`` pixels to channels, as nn.PixelUnshuffle."""

    factor: int
    keeps_grid = True

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        c, h, w = inputs[0]
        return c * self.factor**2, h // self.factor, w // self.factor

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Shuffle."""
        return F.pixel_unshuffle(inputs[0], self.factor)


@dataclass(frozen=True, eq=False)
class Bilinear(Op):
    """Bilinear interpolation by whole factors, pixels as areas."""

    factor: Pair

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output."""
        c, h, w = inputs[0]
        return c, h * self.factor[0], w * self.factor[1]

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Interpolate."""
        size = tuple(n * f for n, f in zip(inputs[0].shape[2:], self.factor, strict=True))
        return F.interpolate(inputs[0], size=size, mode="bilinear", align_corners=False)


@dataclass(frozen=True, eq=False)
class Join(Op):
    """Sum of two tensors of which, at every place, one is zero."""

    keeps_grid = True

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Add."""
        return inputs[0] + inputs[1]


@dataclass(frozen=True, eq=False)
class Copy(Op):
    """The same tensor on a grid of its own, which fuses with what made it if it has none."""

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Return it."""
        return inputs[0]
