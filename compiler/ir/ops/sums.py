"""Sums of several values, each times a whole number."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir import rules
from tilewright.compiler.ir.arithmetic import IntArray
from tilewright.compiler.ir.op import Accumulating, Names, Pixelwise, Rule, Shape, Types, Values
from tilewright.compiler.ir.rules import rule
from tilewright.compiler.ir.types import Requantize


@rule("sources")
def _sources_alike(op: "WeightedSum", types: Types) -> str | None:
    """There is at least one operand, none twice, and all have the same shape and sign."""
    if len(set(op.sources)) < len(op.sources) or not op.sources:
        return f"{list(op.sources)}"
    kinds = {(types[v].shape, types[v].signed) for v in op.sources}
    return None if len(kinds) == 1 else f"{sorted(kinds)}"


@rule("factors")
def _one_factor_each(op: "WeightedSum", types: Types) -> str | None:
    """There is one factor for each operand."""
    return None if op.factors.shape == (len(op.sources),) else f"shape {op.factors.shape}"


@dataclass(frozen=True, eq=False)
class WeightedSum(Pixelwise, Accumulating):
    """Values of one shape, each times a whole number, and their sum requantized.

    ``out = requantize(sum(factor * (q - zero_point)) + bias)``; all channels alike. Additions that
    must be exact to the last bit of 24 or more are chains of these, from the low digits up.

    Parameters
    ----------
    sources : value names, at least one
    factors : (n,) integers, one for each
    bias : int32
    requantize : one multiplier per channel
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        _sources_alike,
        _one_factor_each,
        rules.shape_agrees,
        rules.requantize_matches,
        rules.accumulator_fits,
    )

    sources: Names
    output: str
    factors: IntArray
    bias: int
    requantize: Requantize

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
        return types[self.sources[0]].shape

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included."""
        total = np.full(types[self.sources[0]].shape, self.bias, np.int64)
        for source, factor in zip(self.sources, self.factors, strict=True):
            total += factor * (values[source] - types[source].zero_point)
        return total

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the range of the accumulator, (K,) each."""
        ends = np.array(
            [
                sorted(int(f) * (q - t.zero_point) for q in (t.qmin, t.qmax))
                for f, t in zip(self.factors, (types[v] for v in self.sources), strict=True)
            ]
        )
        low, high = ends.sum(axis=0)
        return self.alike(int(low) + self.bias, int(high) + self.bias)
