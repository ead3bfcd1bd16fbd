# ruff: noqa: D401 - docstrings of rules state them to the user
"""Convolution in tiles of results."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir import rules
from tilewright.compiler.ir.arithmetic import IntArray, fits_float64, pad, weighted_range, window
from tilewright.compiler.ir.op import (
    Biased,
    Padding,
    Pair,
    Rule,
    Shape,
    Types,
    Unary,
    Values,
)
from tilewright.compiler.ir.rules import rule
from tilewright.compiler.ir.shapes import window_shape
from tilewright.compiler.ir.types import Requantize


@rule("kernels, data_factors, output_factors")
def _terms_agree(op: "RoundedConv2d", types: Types) -> str | None:
    """All have three dimensions, and as many terms, at least one; a tile holds its windows."""
    shapes = [a.shape for a in (op.kernels, op.data_factors, op.output_factors)]
    if any(len(shape) != 3 or min(shape) < 1 for shape in shapes):
        return f"shapes {shapes}"
    if len({shape[0] for shape in shapes}) > 1 or min(op.kernel) < 1:
        return f"shapes {shapes}, stride {op.stride}"
    return None


@rule("groups")
def _groups_divide(op: "RoundedConv2d", types: Types) -> str | None:
    """Groups divide the output channels, and kernels cover C / groups input channels."""
    c, (_, k, per_group) = types[op.input].shape[0], op.kernels.shape
    if op.groups < 1 or k % op.groups or per_group * op.groups != c:
        return f"kernels shape {op.kernels.shape}, groups={op.groups}, C={c}"
    return None


@rule("kernels")
def _kernels_fit(op: "RoundedConv2d", types: Types) -> str | None:
    """Kernels have at most 16 bits, factors of the data at most 8, those of the output 12."""
    for array, bits in ((op.kernels, 16), (op.data_factors, 8), (op.output_factors, 12)):
        low, high = int(array.min()), int(array.max())
        if low < -1 << (bits - 1) or high >= 1 << (bits - 1):
            return f"{low}..{high} in {bits} bits"
    return None


@rule("bias")
def _bias_shape(op: "RoundedConv2d", types: Types) -> str | None:
    """There is one int32 bias per output channel."""
    if op.bias.shape != op.kernels.shape[1:2]:
        return f"shape {op.bias.shape} for {op.kernels.shape[1]} channels"
    if int(np.abs(op.bias).max()) >= 1 << 31:
        return f"bias {int(op.bias[np.abs(op.bias).argmax()])}"
    return None


@dataclass(frozen=True, eq=False)
class RoundedConv2d(Unary, Biased):
    """Convolution in tiles with rounded kernels (Winograd), close to a Conv2d but not equal to it.

    The results lie in tiles of ``m`` rows and columns; tile (y, x) reads the pixels from row
    ``m * stride * y - top`` and column ``m * stride * x - left`` on. In every tile
    ``window[p, c] = sum(data_factors[p, u, v] * (q[c, u, v] - zero_point_in))`` and
    ``acc[k, i, j] = sum(output_factors[p, i, j] * kernels[p, k, c] * window[p, c]) + bias[k]``.
    Pixels outside the input hold its zero point, also where the last tiles reach beyond the
    padding. Only the compiler makes this operator, on request: docs/winograd.md.

    Parameters
    ----------
    kernels : (P, K, C / groups), signed integers of at most 16 bits
    data_factors : (P, U, V), what term p multiplies the pixels of a tile by
    output_factors : (P, m_y, m_x), what its sums are multiplied by, for each result
    bias : (K,), int32 at the accumulator's scale
    stride : (vertical, horizontal), at least 1
    padding : (top, bottom, left, right), at least 0
    groups : int, divides C and K
    requantize : one multiplier per output channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        _terms_agree,
        _groups_divide,
        _kernels_fit,
        _bias_shape,
        rules.stride_positive,
        rules.padding_not_negative,
        rules.window_fits,
        rules.shape_agrees,
        rules.requantize_fits,
        rules.accumulator_fits,
    )

    kernels: IntArray
    data_factors: IntArray
    output_factors: IntArray
    bias: IntArray
    stride: Pair
    padding: Padding
    groups: int
    requantize: Requantize

    @property
    def m(self) -> Pair:
        """Result rows and columns of a tile."""
        return int(self.output_factors.shape[1]), int(self.output_factors.shape[2])

    @property
    def kernel(self) -> Pair:
        """(R, S) of the convolution that is approximated."""
        return (
            int(self.data_factors.shape[1]) - (self.m[0] - 1) * self.stride[0],
            int(self.data_factors.shape[2]) - (self.m[1] - 1) * self.stride[1],
        )

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        _, height, width = types[self.input].shape
        size = window_shape((height, width), self.kernel, self.stride, self.padding)
        return (self.kernels.shape[1], *size)

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        x, x_type = values[self.input], types[self.input]
        _, k, c = self.kernels.shape
        g, (_, height, width) = self.groups, x.shape
        rows, columns = window_shape((height, width), self.kernel, self.stride, self.padding)
        tiles = -(-rows // self.m[0]), -(-columns // self.m[1])
        step = self.m[0] * self.stride[0], self.m[1] * self.stride[1]
        # The last tiles may reach beyond the padding, or beyond rows that no window reaches.
        top, _, left, _ = self.padding
        bottom, right = (
            max(0, (count - 1) * distance + reach - before - size)
            for count, distance, reach, before, size in zip(
                tiles, step, self.data_factors.shape[1:], (top, left), (height, width), strict=True
            )
        )
        padded = pad(x - x_type.zero_point, (top, bottom, left, right), 0)
        acc = np.zeros((k, tiles[0] * self.m[0], tiles[1] * self.m[1]), np.int64)
        for kernels, data, output in zip(
            self.kernels, self.data_factors, self.output_factors, strict=True
        ):
            windows = np.zeros((x.shape[0], *tiles), np.int64)
            for u, v in np.argwhere(data):
                windows += data[u, v] * window(padded, (u, v), step, tiles)
            # float64 matrix products are quick and exact as long as no sum leaves 53 bits.
            dtype = np.float64 if fits_float64(kernels, windows) else np.int64
            factors = kernels.reshape(g, k // g, c).astype(dtype)
            sums = factors @ windows.reshape(g, c, -1).astype(dtype)
            term = sums.astype(np.int64).reshape(k, *tiles)
            for i, j in np.argwhere(output):
                acc[:, i :: self.m[0], j :: self.m[1]] += output[i, j] * term
        result: IntArray = acc[:, :rows, :columns] + self.bias[:, None, None]
        return result

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range over all places in a tile: each is a kernel of its own."""
        terms, channels, per_group = self.kernels.shape
        # float64 is exact: kernels have 16 bits, and the other factors are small.
        flat = self.kernels.reshape(terms, -1).astype(np.float64)
        lows, highs = [], []
        for place in self.output_factors.reshape(terms, -1).T:
            factors = (self.data_factors * place[:, None, None]).reshape(terms, -1).T
            kernel = (factors @ flat).astype(np.int64).reshape(-1, channels, per_group)
            low, high = weighted_range(kernel.transpose(1, 2, 0), self.bias, types[self.input])
            lows.append(low)
            highs.append(high)
        return np.minimum.reduce(lows), np.maximum.reduce(highs)
