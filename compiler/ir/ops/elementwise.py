# ruff: noqa: D401 - docstrings of rules state them to the user
"""Operators of one or two values, element by element."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir import rules
from tilewright.compiler.ir.arithmetic import (
    IntArray,
    requantize,
)
from tilewright.compiler.ir.op import (
    Accumulating,
    Binary,
    Pixelwise,
    Range,
    Rule,
    Shape,
    Types,
    Unary,
    Values,
)
from tilewright.compiler.ir.rules import requantize_problem, rule
from tilewright.compiler.ir.types import Requantize, TensorType, VerifyError


@rule("shared_bits")
def _shared_bits(op: "Add", types: Types) -> str | None:
    """Operands are added in 2 to 16 bits."""
    return None if 2 <= op.shared_bits <= 16 else f"{op.shared_bits} bits"


@rule("requantize_a, requantize_b")
def _operands_match_shared_type(op: "Add", types: Types) -> str | None:
    """Both have one multiplier per channel and stay within the shared type."""
    shape = types[op.output].shape
    for side, r in (("a", op.requantize_a), ("b", op.requantize_b)):
        try:
            shared = TensorType(shape, op.shared_bits, op.shared_signed, 1.0, r.zero_point)
        except VerifyError as error:
            return f"requantize_{side}: {error}"
        if found := requantize_problem(r, shared):
            return f"requantize_{side}: {found}"
    return None


@dataclass(frozen=True, eq=False)
class Add(Binary, Pixelwise, Accumulating):
    """Residual addition: both operands requantized to one shared scale, added, requantized.

    ``a' = requantize_a(a - zero_point_a)`` and ``b'`` alike, held in ``shared_bits`` bits, then
    ``out = requantize((a' - requantize_a.zero_point) + (b' - requantize_b.zero_point))``.

    Parameters
    ----------
    requantize_a, requantize_b : to the shared scale, one multiplier per channel
    requantize : from the shared scale to the output
    shared_bits, shared_signed : the integer type of ``a'`` and ``b'``, 2..16 bits
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        rules.shapes_equal,
        rules.shape_agrees,
        rules.requantize_matches,
        _shared_bits,
        _operands_match_shared_type,
        rules.accumulator_fits,
    )

    input_a: str
    input_b: str
    output: str
    requantize_a: Requantize
    requantize_b: Requantize
    requantize: Requantize
    shared_bits: int
    shared_signed: bool

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        return types[self.input_a].shape

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        sides = ((self.input_a, self.requantize_a), (self.input_b, self.requantize_b))
        a, b = (
            requantize(values[side] - types[side].zero_point, scale) - scale.zero_point
            for side, scale in sides
        )
        return a + b

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range of the accumulator, (K,) each."""
        operands = (self.requantize_a, self.requantize_b)
        low = sum(r.qmin - r.zero_point for r in operands)
        return self.alike(low, sum(r.qmax - r.zero_point for r in operands))


@dataclass(frozen=True, eq=False)
class Maximum(Binary, Pixelwise):
    """The larger of two elements at every place; scale and zero point stay."""

    RULES: ClassVar[tuple[Rule, ...]] = (rules.shapes_equal, rules.shape_agrees, rules.keeps_type)

    input_a: str
    input_b: str
    output: str

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        return types[self.input_a].shape

    def value_range(self, types: Types, ranges: Mapping[str, Range]) -> Range:
        """Return the range of the output: the larger ends."""
        (low_a, high_a), (low_b, high_b) = ranges[self.input_a], ranges[self.input_b]
        return max(low_a, low_b), max(high_a, high_b)

    def compute(self, values: Values, types: Types) -> IntArray:
        """Return the larger elements."""
        return np.maximum(values[self.input_a], values[self.input_b])


@dataclass(frozen=True, eq=False)
class Rescale(Unary, Pixelwise, Accumulating):
    """Move a tensor to another scale, zero point, width or range.

    ``out = requantize(q - zero_point_in)``; a ReLU between two scales is one of these.

    Parameters
    ----------
    requantize : factor ``s_in / s_out``, one multiplier per channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        rules.shape_agrees,
        rules.requantize_matches,
        rules.accumulator_fits,
    )

    requantize: Requantize

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        return types[self.input].shape

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        return values[self.input] - types[self.input].zero_point

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range of the accumulator, (K,) each."""
        t = types[self.input]
        return self.alike(t.qmin - t.zero_point, t.qmax - t.zero_point)


@rule("gate")
def _gate_is_per_channel(op: "Gate", types: Types) -> str | None:
    """It has one element per channel of the input."""
    wanted, shape = (types[op.input].shape[0], 1, 1), types[op.gate].shape
    return None if shape == wanted else f"shape {shape}, not {wanted}"


@dataclass(frozen=True, eq=False)
class Gate(Accumulating):
    """Product of a tensor and one factor per channel, as in squeeze and excitation.

    ``out = requantize((q - zero_point_in) * (gate - zero_point_gate))``.

    Parameters
    ----------
    gate : value of shape (C, 1, 1)
    requantize : factor ``s_in * s_gate / s_out``, one multiplier per channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        rules.shape_agrees,
        rules.requantize_matches,
        _gate_is_per_channel,
        rules.accumulator_fits,
    )

    input: str
    gate: str
    output: str
    requantize: Requantize

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return (self.input, self.gate)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        return types[self.input].shape

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        x, gate = values[self.input], values[self.gate]
        return (x - types[self.input].zero_point) * (gate - types[self.gate].zero_point)

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range of the accumulator, (K,) each."""
        return self.alike(*product_range(types[self.input], types[self.gate]))


@rule("input_a, input_b")
def _shapes_meet(op: "Product", types: Types) -> str | None:
    """Both operands have the same pixels, and the same channels, or one of them one."""
    a, b = types[op.input_a].shape, types[op.input_b].shape
    alike = a[1:] == b[1:] and min(a[0], b[0]) in (1, max(a[0], b[0]))
    return None if alike else f"{a} and {b}"


@dataclass(frozen=True, eq=False)
class Product(Binary, Pixelwise, Accumulating):
    """Product of two tensors, pixel by pixel: of every channel, or all by one.

    ``out = requantize((a - zero_point_a) * (b - zero_point_b))``. The operands may be one value,
    whose square that is.

    Parameters
    ----------
    input_a, input_b : of one shape, or with one channel where the other has several
    requantize : factor ``s_a * s_b / s_out``, one multiplier per channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        _shapes_meet,
        rules.shape_agrees,
        rules.requantize_matches,
        rules.accumulator_fits,
    )

    input_a: str
    input_b: str
    output: str
    requantize: Requantize

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        a, b = types[self.input_a].shape, types[self.input_b].shape
        return max(a[0], b[0]), *a[1:]

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        a, b = ((values[v] - types[v].zero_point) for v in self.inputs)
        product: IntArray = a * b
        return product

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range of the accumulator, (K,) each."""
        a, b = types[self.input_a], types[self.input_b]
        low, high = product_range(a, b)
        if self.input_a == self.input_b:
            low = 0
        return self.alike(low, high)


def product_range(a: TensorType, b: TensorType) -> Range:
    """Return the least and the greatest product of elements less their zero points."""
    corners = [
        (x - a.zero_point) * (y - b.zero_point) for x in (a.qmin, a.qmax) for y in (b.qmin, b.qmax)
    ]
    return min(corners), max(corners)


@rule("table")
def _table_is_whole(op: "Lookup", types: Types) -> str | None:
    """It has an entry for every value of the input's 2 to 8 bits, within the output's range."""
    source, result = types[op.input], types[op.output]
    if source.bits > 8:
        return f"the input has {source.bits} bits"
    if op.table.shape != (1 << source.bits,):
        return f"shape {op.table.shape} for an input of {source.bits} bits"
    low, high = int(op.table.min()), int(op.table.max())
    if low < result.qmin or high > result.qmax:
        return f"entries {low}..{high} outside {result.qmin}..{result.qmax}"
    return None


@dataclass(frozen=True, eq=False)
class Lookup(Unary, Pixelwise):
    """An activation function: every element is replaced by its entry in a table.

    ``out = table[q - q_lowest]``, where ``q_lowest`` is the lowest value of the input's type.

    Parameters
    ----------
    table : (2 ** bits,) integers, one for each value of the input's type, of at most 8 bits
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        rules.shape_agrees,
        _table_is_whole,
    )

    table: IntArray

    def shape(self, types: Types) -> Shape:
        """Return the shape of the output."""
        return types[self.input].shape

    def value_range(self, types: Types, ranges: Mapping[str, Range]) -> Range:
        """Return the range of the table."""
        return int(self.table.min()), int(self.table.max())

    def compute(self, values: Values, types: Types) -> IntArray:
        """Return the entries."""
        result: IntArray = self.table[values[self.input] - types[self.input].qmin]
        return result
