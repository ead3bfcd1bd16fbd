# ruff: noqa: D401 - docstrings of rules state them to the user
"""Deformable convolution."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir import rules
from tilewright.compiler.ir.arithmetic import (
    IntArray,
    Integers,
    requantize,
    weighted_range,
)
from tilewright.compiler.ir.deformable import fraction_bits
from tilewright.compiler.ir.op import (
    Biased,
    OptionalName,
    Padding,
    Pair,
    Rule,
    Shape,
    Types,
    Values,
)
from tilewright.compiler.ir.ops.convolution import Conv2d, convolve
from tilewright.compiler.ir.rules import rule
from tilewright.compiler.ir.shapes import window_shape
from tilewright.compiler.ir.types import Requantize, TensorType


@rule("offset_groups")
def _offset_groups_divide(op: "DeformConv2d", types: Types) -> str | None:
    """The number of offset groups divides the input channels."""
    c = types[op.input].shape[0]
    fits = op.offset_groups >= 1 and c % op.offset_groups == 0
    return None if fits else f"offset_groups={op.offset_groups}, C={c}"


@rule("offset")
def _offset_type(op: "DeformConv2d", types: Types) -> str | None:
    """Offsets are signed, of at most 8 bits, with zero point 0 and a scale of 2**-f, f in 0..8."""
    t = types[op.offset]
    fits = t.signed and t.bits <= 8 and t.zero_point == 0 and fraction_bits(t) is not None
    return None if fits else _describe(t)


@rule("mask")
def _mask_type(op: "DeformConv2d", types: Types) -> str | None:
    """A mask is unsigned, of at most 8 bits, with zero point 0 and a scale of 2**-b, b in 1..8."""
    if op.mask is None:
        return None
    t = types[op.mask]
    fits = not t.signed and t.bits <= 8 and t.zero_point == 0 and fraction_bits(t, 1) is not None
    return None if fits else _describe(t)


def _describe(t: TensorType) -> str:
    sign = "signed" if t.signed else "unsigned"
    return f"{t.bits} bits, {sign}, zero point {t.zero_point}, scale {t.scale}"


@rule("offset, mask")
def _offset_shape(op: "DeformConv2d", types: Types) -> str | None:
    """There are two offsets, and one mask, per offset group, tap and position."""
    _, *size = op.shape(types)
    taps = op.offset_groups * op.kernel[0] * op.kernel[1]
    for name, count in ((op.offset, 2 * taps), (op.mask, taps)):
        if name is not None and types[name].shape != (count, *size):
            return f"{name} has the shape {types[name].shape}, not {(count, *size)}"
    return None


@dataclass(frozen=True, eq=False)
class DeformConv2d(Biased):
    """Deformable convolution (v1, v2): every tap samples at an offset of its own, bilinearly.

    Tap (r, s) of output (i, j) lies at row ``stride * i - top + r * dilation + dy``, column
    likewise, between four pixels ``q`` with weights ``w`` in units of ``2**-2f``; a pixel outside
    the image is the zero point. Its sample is ``round_half_even(m * sum(w * (q - zero_point_in)) /
    2**(2f + b))`` behind the zero point, clamped to the input's type, where ``m / 2**b`` is the
    mask, or 1. Samples are convolved as in Conv2d. docs/deformable.md has the whole of it.

    Parameters
    ----------
    offset : value of 2 * offset_groups * R * S channels and the output's rows and columns, in
        units of ``2**-f`` pixels: by offset group, tap (row by row), then vertical and horizontal
    mask : value of offset_groups * R * S channels in units of ``2**-b``, or None
    weight : (K, C / groups, R, S), signed integers of ``weight_bits`` bits
    weight_bits : int, 2..8
    bias : (K,), int32 at scale ``s_in * s_w``
    stride, dilation : (vertical, horizontal), at least 1
    padding : (top, bottom, left, right), at least 0
    groups : int, divides C and K
    offset_groups : int, divides C; each has offsets and masks of its own
    requantize : one multiplier per output channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        rules.weight_shape,
        rules.groups_divide,
        rules.weight_covers_channels,
        rules.bits_of_weights,
        rules.weights_fit,
        rules.bias_shape,
        rules.stride_positive,
        rules.dilation_positive,
        rules.padding_not_negative,
        rules.window_fits,
        _offset_groups_divide,
        _offset_type,
        _mask_type,
        _offset_shape,
        rules.shape_agrees,
        rules.requantize_fits,
        rules.accumulator_fits,
    )

    input: str
    offset: str
    mask: OptionalName
    output: str
    weight: Integers
    weight_bits: int
    bias: IntArray
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    offset_groups: int
    requantize: Requantize

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return (self.input, self.offset, *(() if self.mask is None else (self.mask,)))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)

    @property
    def kernel(self) -> Pair:
        """(R, S)."""
        return int(self.weight.shape[2]), int(self.weight.shape[3])

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        _, *size = types[self.input].shape
        rows = window_shape(
            (size[0], size[1]), self.kernel, self.stride, self.padding, self.dilation
        )
        return (self.weight.shape[0], *rows)

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        acc, scale = self.samples(values, types)
        samples = requantize(acc, scale)
        # What is left is a convolution whose windows lie side by side.
        conv = Conv2d(
            self.name, self.input, self.output, self.weight, self.weight_bits, self.bias,
            self.kernel, (0, 0, 0, 0), (1, 1), self.groups, self.requantize,
        )  # fmt: skip
        return convolve(conv, samples, replace(types[self.input], shape=samples.shape))

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range of the accumulator, (K,) each."""
        return weighted_range(self.weight, self.bias, types[self.input])

    def samples(self, values: Values, types: Types) -> tuple[IntArray, Requantize]:
        """Interpolate the input under every tap, before the one rounding.

        Returns
        -------
        (C, H' * R, W' * S) samples, a block of R x S for each position, in units of the returned
        requantization, which rounds them and gives them the type of the input.
        """
        x, offset = values[self.input], values[self.offset]
        x_type, offset_type = types[self.input], types[self.offset]
        (channels, height, width), (r, s) = x.shape, self.kernel
        rows, columns = window_shape(
            (height, width), (r, s), self.stride, self.padding, self.dilation
        )
        f = fraction_bits(offset_type)
        assert f is not None
        groups, one = self.offset_groups, 1 << f
        shift = offset.reshape(groups, r, s, 2, rows, columns)
        top, left = self.padding[0], self.padding[2]
        place_y = np.arange(rows)[:, None] * self.stride[0] - top
        place_y = place_y + np.arange(r)[:, None, None, None] * self.dilation[0]
        place_x = np.arange(columns) * self.stride[1] - left
        place_x = place_x + np.arange(s)[:, None, None] * self.dilation[1]
        y = (place_y << f) + shift[:, :, :, 0]
        z = (place_x << f) + shift[:, :, :, 1]
        real = (x - x_type.zero_point).reshape(groups, -1, height, width)
        acc = np.zeros((groups, channels // groups, r, s, rows, columns), np.int64)
        group = np.arange(groups).reshape(-1, 1, 1, 1, 1)
        for down in (0, 1):
            for right in (0, 1):
                row, column = (y >> f) + down, (z >> f) + right
                inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                weight = np.where(down, y & (one - 1), one - (y & (one - 1)))
                weight = weight * np.where(right, z & (one - 1), one - (z & (one - 1))) * inside
                corner = real[group, :, row * inside, column * inside]
                acc += np.moveaxis(corner * weight[..., None], -1, 1)
        bits = 2 * f
        if self.mask is not None:
            m = fraction_bits(types[self.mask], 1)
            assert m is not None
            acc *= values[self.mask].reshape(groups, 1, r, s, rows, columns)
            bits += m
        samples = acc.transpose(0, 1, 4, 2, 5, 3).reshape(channels, rows * r, columns * s)
        scale = Requantize((1,), (bits,), x_type.zero_point, x_type.qmin, x_type.qmax)
        return samples, scale
