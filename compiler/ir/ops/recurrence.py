# ruff: noqa: D401 - docstrings of rules state them to the user
"""Slices of a map that depend on the slice before."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir import rules
from tilewright.compiler.ir.arithmetic import IntArray, Integers, requantize, weighted_range
from tilewright.compiler.ir.op import Biased, Range, Rule, Shape, Types, Unary, Values
from tilewright.compiler.ir.ops.convolution import Conv2d, convolve
from tilewright.compiler.ir.rules import requantize_problem, rule
from tilewright.compiler.ir.types import Requantize


@rule("weight")
def _weight_shape(op: "Recurrence", types: Types) -> str | None:
    """Weights have the shape (C, C, 1, T), with an odd number of taps T."""
    channels, shape = types[op.input].shape[0], op.weight.shape
    fits = len(shape) == 4 and shape[:3] == (channels, channels, 1) and shape[3] % 2 == 1
    return None if fits else f"shape {shape} for {channels} channels"


@rule("requantize_input")
def _input_matches(op: "Recurrence", types: Types) -> str | None:
    """It has one multiplier per channel, and the range and zero point of the output."""
    return requantize_problem(op.requantize_input, types[op.output])


@dataclass(frozen=True, eq=False)
class Recurrence(Unary, Biased):
    """Slice by slice, each row or column of a map added to what the one before it gives.

    With slices ``x'`` of ``requantize_input(x - zero_point)``, the first result is ``y[0] = x'[0]``
    and the others are ``y[i] = x'[i] + (m[i] - zero_point_out)``, which saturates at the ends of
    ``requantize_input``. The message ``m[i] = requantize(sum(w * (y[i - 1] - zero_point_out)) +
    bias)`` is a convolution along slice ``i - 1``, whose ends are padded; a ReLU is its range.

    Source: Pan et al., Spatial as Deep: Spatial CNN for Traffic Scene Understanding, 2018,
    arXiv:1712.06080.

    Parameters
    ----------
    weight : (C, C, 1, T), signed integers of ``weight_bits`` bits, T odd
    weight_bits : int, 2..8
    bias : (C,), int32 at scale ``s_out * s_w``
    columns : slices are columns, of which the first is the left one; else rows, from the top
    backwards : slices are taken from the last to the first
    requantize_input : of x to the output's scale, one multiplier per channel
    requantize : of a message to the output's scale, one multiplier per channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        _weight_shape,
        rules.bits_of_weights,
        rules.weights_fit,
        rules.bias_shape,
        rules.shape_agrees,
        _input_matches,
        rules.requantize_fits,
        rules.accumulator_fits,
    )

    weight: Integers
    weight_bits: int
    bias: IntArray
    columns: bool
    backwards: bool
    requantize_input: Requantize
    requantize: Requantize

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        return types[self.input].shape

    def slices(self, types: Types) -> range:
        """Return the places of slices, in the order in which they are computed."""
        count = types[self.input].shape[2 if self.columns else 1]
        return range(count - 1, -1, -1) if self.backwards else range(count)

    def message(self, source: str, output: str) -> Conv2d:
        """Return the convolution that makes a message of a slice, as a row."""
        taps = self.weight.shape[3]
        return Conv2d(
            self.name, source, output, self.weight, self.weight_bits, self.bias, (1, 1),
            (0, 0, taps // 2, taps // 2), (1, 1), 1, self.requantize,
        )  # fmt: skip

    def value_range(self, types: Types, ranges: dict[str, Range]) -> Range:  # type: ignore[override]
        """Return the range of the output."""
        return self.requantize_input.qmin, self.requantize_input.qmax

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (C, H, W) accumulators of messages; of the first slice they are zero."""
        return self._run(values, types)[1]

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range of the accumulator, (C,) each."""
        return weighted_range(self.weight, self.bias, types[self.output])

    def compute(self, values: Values, types: Types) -> IntArray:
        """Return the output."""
        return self._run(values, types)[0]

    def _run(self, values: Values, types: Types) -> tuple[IntArray, IntArray]:
        ends, kind = self.requantize_input, types[self.output]
        out = requantize(values[self.input] - types[self.input].zero_point, ends)
        sums = np.zeros_like(out)
        # Slices as rows, without a copy.
        by_slice, sums_by_slice = (x.transpose(0, 2, 1) if self.columns else x for x in (out, sums))
        row = replace(kind, shape=(kind.shape[0], 1, by_slice.shape[2]))
        conv, before = self.message("slice", "message"), None
        for place in self.slices(types):
            if before is not None:
                acc = convolve(conv, by_slice[:, before : before + 1], row)
                sums_by_slice[:, place] = acc[:, 0]
                message = requantize(acc, self.requantize)[:, 0] - kind.zero_point
                by_slice[:, place] = (by_slice[:, place] + message).clip(ends.qmin, ends.qmax)
            before = place
        return out, sums
