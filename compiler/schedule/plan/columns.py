"""Where a group's rows do not fit: strips of columns, for each of which it runs once.

Each strip has columns of the group's results of its own. Of every other value it has what is read
of it for them: neighbouring strips share the columns of a halo, which are loaded or computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import lcm
from typing import TypeAlias

from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.plan.group import Group
from tilewright.isa import EngineConfig
from tilewright.isa.layout import align

Columns: TypeAlias = "Mapping[str, tuple[int, int]]"
"""Of each value that a group reads or computes, columns as (first, end)."""


@dataclass(frozen=True, eq=False)
class ColumnCut:
    """Strips of columns in which a group runs, in order.

    Parameters
    ----------
    strips : Columns; one, of all columns, where rows are whole
    """

    strips: tuple[Columns, ...]

    @cached_property
    def widest(self) -> dict[str, int]:
        """The most columns that a strip has of each value."""
        return {
            value: max(end - first for first, end in (columns[value] for columns in self.strips))
            for value in self.strips[0]
        }


def whole_rows(group: Group, lowered: LoweredGraph) -> ColumnCut:
    """Return the one strip that has all columns."""
    return ColumnCut(({value: (0, lowered.values[value].shape[2]) for value in _values(group)},))


def column_cuts(group: Group, lowered: LoweredGraph, config: EngineConfig) -> Iterator[ColumnCut]:
    """Yield ways to cut a group's columns, from two strips to as many as there can be."""
    last = group.stages[-1]
    width = last.output_type.shape[2]
    grid = _Grid(group, lowered)
    least = grid.ends[last.output]
    whole = lcm(least, config.cols * max(op.column_step for op in last.ops))
    count, size = 2, width
    while size > least:
        wanted = -(-width // count)
        smaller = align(wanted, whole if wanted >= whole else least)
        if smaller < size:
            size = smaller
            yield ColumnCut(tuple(grid.strips([*range(size, width, size), width])))
        count = max(count + 1, count * 3 // 2)


class _Grid:
    """The columns of a group's values, and after how many of them a value can be cut.

    Attributes
    ----------
    begins, ends : of each value, the unit of the first column of a strip, and of its end
    """

    def __init__(self, group: Group, lowered: LoweredGraph) -> None:
        self._group = group
        self._widths = {value: lowered.values[value].shape[2] for value in _values(group)}
        positions = {value for stage in group.stages for value in stage.positions}
        self.begins = dict.fromkeys(self._widths, 1)
        for value in self._widths.keys() & {*group.loads, *group.stores, *positions}:
            self.begins[value] = lowered.layout(value).beat_pixels
        for op in group.ops:
            tile = op.reduction.tile_columns
            self.begins[op.output] = lcm(self.begins[op.output], tile)
        self.ends = {v: 1 if v in group.loads else unit for v, unit in self.begins.items()}

    def strips(self, ends: list[int]) -> Iterator[Columns]:
        """Yield strips of which the last output has columns up to the given ones."""
        last, before = self._group.stages[-1].output, dict.fromkeys(self._group.stores, 0)
        for end in ends:
            wanted: dict[str, tuple[int, int]] = {}
            for value, first in before.items():
                width = self._widths[value]
                part = align(end * width // self._widths[last], self.ends[value])
                before[value] = min(width, part)
                if first < before[value]:
                    wanted[value] = first, before[value]
            yield self._read_by(wanted)

    def _read_by(self, wanted: dict[str, tuple[int, int]]) -> Columns:
        """Return the columns of all values in a strip that has some of those that are stored."""
        result = dict(wanted)

        def need(value: str, first: int, end: int) -> None:
            low, high = result.get(value, (first, end))
            low, high = min(low, first), max(high, end)
            begin = low // self.begins[value] * self.begins[value]
            result[value] = begin, min(align(high, self.ends[value]), self._widths[value])

        before: dict[str, tuple[int, int]] = {}
        while before != result:
            before = dict(result)
            for stage in reversed(self._group.stages):
                if stage.output not in result:
                    continue
                first, end = result[stage.output]
                for value in stage.positions:
                    need(value, first, end)
                # What a stage reads is addressed alike, so its rows begin alike.
                hull = [
                    stage.input_columns(first, end),
                    *(result[value] for value in stage.inputs if value in result),
                ]
                for value in stage.inputs:
                    need(value, min(low for low, _ in hull), max(high for _, high in hull))
        return {value: result.get(value, (0, 0)) for value in self._widths}


def _values(group: Group) -> tuple[str, ...]:
    """Return all values that a group reads or computes, each once."""
    values = [value for stage in group.stages for value in (*stage.inputs, *stage.positions)]
    return tuple(dict.fromkeys((*values, *(stage.output for stage in group.stages))))
