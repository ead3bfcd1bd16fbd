"""Windows, or results, that lie further apart than a command can say.

Patches of 16 pixels, pools over parts of a map, transposed convolutions with a stride of 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.limits import MAX_STEP, MAX_STRIDE
from tilewright.errors import UnsupportedError

#: Operations of a layer, at most: each is some commands.
MOST_OPERATIONS = 1024


def near(op: ArrayOp) -> list[ArrayOp]:
    """Return operations that together give the results of one.

    Along an axis whose windows or results are too far apart, each result is an operation's only
    one: then there is no distance to say. They share their weights.

    Raises
    ------
    UnsupportedError
        If there were more than ``MOST_OPERATIONS``.
    """
    axes = [
        axis
        for axis, stride in enumerate(op.windows.stride)
        if len(_places(op, axis)) > 1
        and (stride > MAX_STRIDE or (axis == 1 and op.result.step[1] > MAX_STEP))
    ]
    count = prod(op.result.step) * prod(len(_places(op, axis)) for axis in axes)
    if axes and count > MOST_OPERATIONS:
        raise UnsupportedError(
            op.name,
            f"windows {_pair(op.windows.stride)} pixels apart and results {_pair(op.result.step)}: "
            f"beyond {MAX_STRIDE} and {MAX_STEP} they are computed one by one, at most "
            f"{MOST_OPERATIONS} of them, not {count}",
            "Use two layers with strides whose product it is.",
        )
    parts = [op]
    for axis in axes:
        parts = [one for part in parts for one in _one_by_one(part, axis)]
    return parts


def _one_by_one(op: ArrayOp, axis: int) -> Iterator[ArrayOp]:
    """Yield an operation for each row, or column, of results."""
    windows, result, places = op.windows, op.result, _places(op, axis)
    for number, place in enumerate(places):
        before = windows.padding[axis] - number * windows.stride[axis]
        yield replace(
            op,
            macs=op.macs // len(places) + (number < op.macs % len(places)),
            windows=replace(
                windows,
                stride=_with(windows.stride, axis, 1),
                padding=_with(windows.padding, axis, before),
            ),
            result=replace(
                result,
                step=_with(result.step, axis, result.type.shape[1 + axis]),
                offset=_with(result.offset, axis, place),
            ),
        )


def _places(op: ArrayOp, axis: int) -> range:
    """Return which rows, or columns, of the value the results are."""
    result = op.result
    return range(result.offset[axis], result.type.shape[1 + axis], result.step[axis])


def _pair(pair: tuple[int, int]) -> str:
    return f"{pair[0]} and {pair[1]}"


def _with(pair: tuple[int, int], axis: int, value: int) -> tuple[int, int]:
    return (value, pair[1]) if axis == 0 else (pair[0], value)
