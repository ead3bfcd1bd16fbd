"""Values that the program holds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir.arithmetic import IntArray
from tilewright.compiler.ir.op import Held, Op, Range, Rule, Types, Values
from tilewright.compiler.ir.rules import rule


@rule("values")
def _values_fit(op: "Constant", types: Types) -> str | None:
    """Its integers have the shape and the range of its type."""
    t = types[op.output]
    if op.values.shape != t.shape:
        return f"shape {op.values.shape} for {t.shape}"
    low, high = int(op.values.min()), int(op.values.max())
    return f"{low}..{high} outside {t.qmin}..{t.qmax}" if low < t.qmin or high > t.qmax else None


@dataclass(frozen=True, eq=False)
class Constant(Held):
    """A tensor that the program holds, such as a position embedding.

    Parameters
    ----------
    output : str
    values : (C, H, W), integers of the output's type
    """

    RULES: ClassVar[tuple[Rule, ...]] = (_values_fit,)

    output: str
    values: IntArray

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)

    def side_by_side(self, images: int) -> Op | None:
        """Return the operator whose value is there for each image."""
        return replace(self, values=np.tile(self.values, (1, 1, images)))

    def value_range(self, types: Types, ranges: Mapping[str, Range]) -> Range:
        """Return the range of its integers."""
        return int(self.values.min()), int(self.values.max())

    def compute(self, values: Values, types: Types) -> IntArray:
        """Return its integers."""
        return self.values
