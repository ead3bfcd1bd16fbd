"""Where a group's rows do not fit: strips of columns, for each of which it runs once.

Each strip has columns of the group's results of its own. Of every other value it has what is read
of it for them: neighbouring strips share the columns of a halo, which are loaded or computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import lcm

from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.plan.group import Group
from tilewright.isa import EngineConfig
from tilewright.isa.layout import align


@dataclass(frozen=True, eq=False)
class Strip:
    """Columns of each value that a group reads or computes.

    Parameters
    ----------
    columns : that are loaded or computed, as (first, end)
    origins : with which rows on chip begin: the same for all that a stage reads, since that is
        addressed alike
    """

    columns: Mapping[str, tuple[int, int]]
    origins: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class ColumnCut:
    """Strips of columns in which a group runs, in order.

    Parameters
    ----------
    strips : Strip; one, of all columns, where rows are whole
    """

    strips: tuple[Strip, ...]

    @cached_property
    def widest(self) -> dict[str, int]:
        """The most columns that a row of each value has on chip."""
        return {
            value: max(strip.columns[value][1] - strip.origins[value] for strip in self.strips)
            for value in self.strips[0].columns
        }

    def of(self, value: str) -> tuple[tuple[int, int], ...]:
        """Return the columns of a value in each strip."""
        known = self._columns.get(value)
        if known is None:
            known = self._columns[value] = tuple(strip.columns[value] for strip in self.strips)
        return known

    @cached_property
    def _columns(self) -> dict[str, tuple[tuple[int, int], ...]]:
        """What was asked for: plans ask for the same columns again and again."""
        return {}


def whole_rows(group: Group, lowered: LoweredGraph) -> ColumnCut:
    """Return the one strip that has all columns."""
    columns = {value: (0, lowered.values[value].shape[2]) for value in _values(group)}
    return ColumnCut((Strip(columns, dict.fromkeys(columns, 0)),))


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

    def strips(self, ends: list[int]) -> Iterator[Strip]:
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

    def _read_by(self, wanted: dict[str, tuple[int, int]]) -> Strip:
        """Return the columns of all values in a strip that has some of those that are stored."""
        result = dict(wanted)

        def need(value: str, first: int, end: int) -> None:
            low, high = result.get(value, (first, end))
            low, high = min(low, first), max(high, end)
            begin = low // self.begins[value] * self.begins[value]
            result[value] = begin, min(align(high, self.ends[value]), self._widths[value])

        for stage in reversed(self._group.stages):
            if stage.output not in result:
                continue
            first, end = result[stage.output]
            for value in stage.positions:
                need(value, first, end)
            for value in stage.inputs:
                need(value, *stage.input_columns(first, end))
        origins = self._origins(result)
        for value in result.keys() & self._group.loads:  # a load begins with the first lane
            result[value] = origins[value], result[value][1]
        columns = {value: result.get(value, (0, 0)) for value in self._widths}
        return Strip(columns, {value: origins.get(value, 0) for value in columns})

    def _origins(self, columns: dict[str, tuple[int, int]]) -> dict[str, int]:
        """Return the columns with which rows begin, as late as can be."""
        result = {value: first for value, (first, _) in columns.items()}
        before: dict[str, int] = {}
        while before != result:
            before = dict(result)
            for stage in self._group.stages:
                if stage.output in result:
                    loaded = (v for v in stage.inputs if v in self._group.loads)
                    unit = lcm(*(self.begins[value] for value in loaded))
                    first = min(result[value] for value in stage.inputs)
                    result |= dict.fromkeys(stage.inputs, first // unit * unit)
        return result


def _values(group: Group) -> tuple[str, ...]:
    """Return all values that a group reads or computes, each once."""
    values = [value for stage in group.stages for value in (*stage.inputs, *stage.positions)]
    return tuple(dict.fromkeys((*values, *(stage.output for stage in group.stages))))
