"""Interval analysis: the values that an accumulator can take, from the actual weights."""

from collections.abc import Sequence

from tilewright.compiler.ir.arithmetic import IntArray
from tilewright.compiler.ir.op import Accumulating, Op, Range, Types


def accumulator_range(op: Op, types: Types) -> tuple[IntArray, IntArray]:
    """Lowest and highest value that enters ``op.requantize``, bias included, per output channel.

    The bound is tight when the inputs of a window can take all values of their type independently.

    Returns
    -------
    lo, hi : (K,) int64

    Raises
    ------
    TypeError  If the operator has no accumulator.
    """
    if not isinstance(op, Accumulating):
        raise TypeError(f"{op.kind} {op.name} has no accumulator")
    return op.accumulator(types)


def value_ranges(ops: Sequence[Op], types: Types) -> dict[str, Range]:
    """Return the least and the greatest integer that each value of a graph can hold."""
    result: dict[str, Range] = {}
    for op in ops:
        for value in op.outputs:
            result[value] = op.value_range(types, result)
    return result


def accumulator_bits(op: Op, types: Types) -> int:
    """Two's complement bits that hold every value of :func:`accumulator_range`."""
    lo, hi = accumulator_range(op, types)
    low, high = int(lo.min()), int(hi.max())
    return 1 + max(high.bit_length() if high > 0 else 0, (-low - 1).bit_length() if low < 0 else 0)
