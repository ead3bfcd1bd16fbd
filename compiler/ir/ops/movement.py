# ruff: noqa: D401 - docstrings of rules state them to the user
"""What moves pixels and channels."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir import rules
from tilewright.compiler.ir.arithmetic import IntArray
from tilewright.compiler.ir.op import (
    Accumulating,
    Moving,
    Names,
    Pair,
    Pixelwise,
    Rule,
    Shape,
    Types,
    Unary,
    Values,
)
from tilewright.compiler.ir.rules import rule
from tilewright.compiler.ir.types import Requantize


@rule("sources")
def _sources_fit(op: "Concat", types: Types) -> str | None:
    """There is at least one operand, and all have the same rows and columns."""
    sizes = {types[v].shape[1:] for v in op.sources}
    return None if len(sizes) == 1 else f"{sorted(sizes)}"


@dataclass(frozen=True, eq=False)
class Concat(Pixelwise, Moving):
    """Concatenation along channels; scale and zero point stay.

    Parameters
    ----------
    sources : value names, at least one
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        _sources_fit,
        rules.shape_agrees,
        rules.keeps_type,
    )

    sources: Names
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return self.sources

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        channels = sum(types[value].shape[0] for value in self.sources)
        return (channels, *types[self.sources[0]].shape[1:])

    def compute(self, values: Values, types: Types) -> IntArray:
        """Return the elements, moved."""
        return np.concatenate([values[value] for value in self.sources])


@rule("channels")
def _channels_exist(op: "SelectChannels", types: Types) -> str | None:
    """It names at least one channel, all of which exist."""
    count = types[op.input].shape[0]
    if op.channels.ndim != 1 or not op.channels.size:
        return f"shape {op.channels.shape}"
    low, high = int(op.channels.min()), int(op.channels.max())
    return None if low >= 0 and high < count else f"channels {low}..{high} of {count}"


@dataclass(frozen=True, eq=False)
class SelectChannels(Unary, Pixelwise, Moving):
    """Some of the channels, in any order: a slice, a split or a shuffle; the type stays.

    Parameters
    ----------
    channels : (K,), the input channel of each output channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        _channels_exist,
        rules.shape_agrees,
        rules.keeps_type,
    )

    channels: IntArray

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        return (len(self.channels), *types[self.input].shape[1:])

    def compute(self, values: Values, types: Types) -> IntArray:
        """Return the elements, moved."""
        return values[self.input][self.channels]


@rule("factor")
def _factors_positive(op: "Upsample | UpsampleBilinear", types: Types) -> str | None:
    """Factors are at least 1."""
    return None if min(op.factor) >= 1 else f"{op.factor}"


@rule("factor")
def _factor_positive(op: "PixelShuffle | PixelUnshuffle", types: Types) -> str | None:
    """Factors are at least 1."""
    return None if op.factor >= 1 else f"{op.factor}"


@dataclass(frozen=True, eq=False)
class Upsample(Unary, Moving):
    """Repetition of every pixel (nearest neighbour); the type stays.

    Parameters
    ----------
    factor : (vertical, horizontal), at least 1
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        _factors_positive,
        rules.shape_agrees,
        rules.keeps_type,
    )

    factor: Pair

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        c, h, w = types[self.input].shape
        return (c, h * self.factor[0], w * self.factor[1])

    def compute(self, values: Values, types: Types) -> IntArray:
        """Return the elements, moved."""
        rows = np.repeat(values[self.input], self.factor[0], axis=1)
        return np.repeat(rows, self.factor[1], axis=2)


@dataclass(frozen=True, eq=False)
class UpsampleBilinear(Unary, Accumulating):
    """Bilinear interpolation by whole factors, with pixels as areas (``align_corners=False``).

    Along each axis, output ``f * i + p`` lies ``(2 p + 1 - f) / 2 f`` pixels from input i; beyond
    the last pixels their value goes on. ``acc`` is the weighted sum of ``q - zero_point_in`` in
    units of ``1 / (4 * f_vertical * f_horizontal)``, requantized once.

    Parameters
    ----------
    factor : (vertical, horizontal), at least 1
    requantize : factor ``s_in / (4 * f_vertical * f_horizontal * s_out)``, one multiplier per
        channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        _factors_positive,
        rules.shape_agrees,
        rules.requantize_matches,
        rules.accumulator_fits,
    )

    factor: Pair
    requantize: Requantize

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        c, h, w = types[self.input].shape
        return (c, h * self.factor[0], w * self.factor[1])

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        acc = values[self.input] - types[self.input].zero_point
        for axis, factor in zip((1, 2), self.factor, strict=True):
            place = np.arange(acc.shape[axis] * factor)
            beyond = 2 * (place % factor) + 1 - factor  # of the pixel, in units of 1 / 2 factor
            low = place // factor - (beyond < 0)
            part = np.where(beyond < 0, 2 * factor + beyond, beyond)  # of the pixel after it
            last = acc.shape[axis] - 1
            part = part.reshape([-1 if i == axis else 1 for i in range(3)])
            below = np.take(acc, low.clip(0, last), axis)
            above = np.take(acc, (low + 1).clip(0, last), axis)
            acc = below * (2 * factor - part) + above * part
        return acc

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range of the accumulator, (K,) each."""
        t, units = types[self.input], 4 * self.factor[0] * self.factor[1]
        return self.alike(units * (t.qmin - t.zero_point), units * (t.qmax - t.zero_point))


@rule("factor")
def _blocks_divide_channels(op: "PixelShuffle", types: Types) -> str | None:
    """The factor's square divides the channels."""
    c = types[op.input].shape[0]
    return None if c % op.factor**2 == 0 else f"factor {op.factor}, C={c}"


@dataclass(frozen=True, eq=False)
class PixelShuffle(Unary, Moving):
    """Channels to blocks of pixels, (C * r * r, H, W) to (C, H * r, W * r); the type stays.

    ``out[c, y * r + i, x * r + j] = in[c * r * r + i * r + j, y, x]``, as in PyTorch.

    Parameters
    ----------
    factor : int, r, at least 1
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        _factor_positive,
        _blocks_divide_channels,
        rules.shape_agrees,
        rules.keeps_type,
    )

    factor: int

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        c, h, w = types[self.input].shape
        return (c // self.factor**2, h * self.factor, w * self.factor)

    def compute(self, values: Values, types: Types) -> IntArray:
        """Return the elements, moved."""
        x, r = values[self.input], self.factor
        _, h, w = x.shape
        blocks = x.reshape(-1, r, r, h, w).transpose(0, 3, 1, 4, 2)
        return blocks.reshape(-1, h * r, w * r)


@rule("factor")
def _blocks_divide_size(op: "PixelUnshuffle", types: Types) -> str | None:
    """The factor divides rows and columns."""
    _, h, w = types[op.input].shape
    return None if h % op.factor == 0 and w % op.factor == 0 else f"factor {op.factor} of {h, w}"


@dataclass(frozen=True, eq=False)
class PixelUnshuffle(Unary, Moving):
    """Blocks of pixels to channels, the inverse of PixelShuffle; the type stays.

    Parameters
    ----------
    factor : int, r, at least 1
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        _factor_positive,
        _blocks_divide_size,
        rules.shape_agrees,
        rules.keeps_type,
    )

    factor: int

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        c, h, w = types[self.input].shape
        return (c * self.factor**2, h // self.factor, w // self.factor)

    def compute(self, values: Values, types: Types) -> IntArray:
        """Return the elements, moved."""
        x, r = values[self.input], self.factor
        _, h, w = x.shape
        blocks = x.reshape(-1, h // r, r, w // r, r).transpose(0, 2, 4, 1, 3)
        return blocks.reshape(-1, h // r, w // r)
