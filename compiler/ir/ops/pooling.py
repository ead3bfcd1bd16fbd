"""Maxima and sums of windows."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir import rules
from tilewright.compiler.ir.arithmetic import IntArray, pad, window
from tilewright.compiler.ir.op import (
    Accumulating,
    Moving,
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


@rule("padding")
def _windows_hold_elements(op: "MaxPool2d", types: Types) -> str | None:
    """Every window holds an element of the input."""
    _, *sizes = types[op.input].shape
    _, *counts = op.shape(types)
    for axis, (size, count) in enumerate(zip(sizes, counts, strict=True)):
        first = np.arange(count) * op.stride[axis] - op.padding[2 * axis]
        taps = first[:, None] + np.arange(op.kernel[axis]) * op.dilation[axis]
        if not ((taps >= 0) & (taps < size)).any(axis=1).all():
            return f"padding {op.padding} with kernel {op.kernel}"
    return None


@dataclass(frozen=True, eq=False)
class MaxPool2d(Unary, Moving):
    """Maximum over windows; padding never wins, and scale and zero point stay.

    Parameters
    ----------
    kernel, stride, dilation : (vertical, horizontal), at least 1
    padding : (top, bottom, left, right); padded positions hold the type's lowest value
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        rules.kernel_positive,
        rules.stride_positive,
        rules.dilation_positive,
        rules.padding_not_negative,
        _windows_hold_elements,
        rules.window_fits,
        rules.shape_agrees,
        rules.keeps_type,
    )

    kernel: Pair
    stride: Pair
    padding: Padding
    dilation: Pair

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        channels, height, width = types[self.input].shape
        size = window_shape((height, width), self.kernel, self.stride, self.padding, self.dilation)
        return (channels, *size)

    def compute(self, values: Values, types: Types) -> IntArray:
        """Return the maxima."""
        x, x_type = values[self.input], types[self.input]
        shape = window_shape(
            x_type.shape[1:], self.kernel, self.stride, self.padding, self.dilation
        )
        padded = pad(x, self.padding, x_type.qmin)
        result = np.full((x_type.shape[0], *shape), x_type.qmin, np.int64)
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                origin = (i * self.dilation[0], j * self.dilation[1])
                np.maximum(result, window(padded, origin, self.stride, shape), out=result)
        return result


@dataclass(frozen=True, eq=False)
class AvgPool2d(Unary, Accumulating):
    """Sum over windows, then one requantization that also divides by the kernel area.

    ``acc = sum(q - zero_point_in)``; padding counts as zeros, the divisor is always the full area.

    Parameters
    ----------
    kernel, stride : (vertical, horizontal), at least 1
    padding : (top, bottom, left, right)
    requantize : factor ``s_in / (s_out * area)``, one multiplier per channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        rules.kernel_positive,
        rules.stride_positive,
        rules.padding_not_negative,
        rules.window_fits,
        rules.shape_agrees,
        rules.requantize_matches,
        rules.accumulator_fits,
    )

    kernel: Pair
    stride: Pair
    padding: Padding
    requantize: Requantize

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        channels, height, width = types[self.input].shape
        size = window_shape((height, width), self.kernel, self.stride, self.padding)
        return (channels, *size)

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        x, x_type = values[self.input], types[self.input]
        shape = window_shape(x_type.shape[1:], self.kernel, self.stride, self.padding)
        padded = pad(x - x_type.zero_point, self.padding, 0)
        acc = np.zeros((x_type.shape[0], *shape), np.int64)
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                acc += window(padded, (i, j), self.stride, shape)
        return acc

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range of the accumulator, (K,) each."""
        t, area = types[self.input], self.kernel[0] * self.kernel[1]
        return self.alike(area * (t.qmin - t.zero_point), area * (t.qmax - t.zero_point))
