"""Rows and columns of a value, and how commands that move them count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tilewright.compiler.schedule.array.section import Block
from tilewright.isa.layout import FeatureMapLayout


class Area(NamedTuple):
    """Rows ``start .. stop - 1`` and columns ``left .. right - 1`` of a value.

    A tuple, since costs are looked up by it.
    """

    start: int
    stop: int
    left: int
    right: int

    @property
    def rows(self) -> int:
        """How many rows."""
        return self.stop - self.start

    @property
    def width(self) -> int:
        """How many columns."""
        return self.right - self.left


@dataclass(frozen=True)
class PhasedLayout(FeatureMapLayout):
    """Bytes of a feature map whose rows are counted by phases.

    First every ``row_step``-th row from 0 on, then those from 1 on, and so on.
    """

    row_step: int = 1

    def phases(self) -> list[range]:
        """Return the rows of each phase, as they lie in memory, in the order of counting."""
        count = min(self.row_step, self.height)
        return [range(phase, self.height, self.row_step) for phase in range(count)]


@dataclass(frozen=True)
class RowLayout(FeatureMapLayout):
    """Bytes of one row of a feature map of ``rows_of_whole`` rows, which lie ``top`` below them."""

    rows_of_whole: int = 1
    top: int = 0

    @property
    def group_bytes(self) -> int:
        """Bytes from one channel group to the next."""
        return self.rows_of_whole * self.row_bytes

    @property
    def size_bytes(self) -> int:
        """Bytes in all."""
        return self.groups * self.row_bytes


class Run(NamedTuple):
    """What one command moves between memory and a buffer: ``times`` times ``rows`` rows.

    Rows follow one another in memory. Places on chip are counted from those of the area.

    Parameters
    ----------
    address : byte of the first, from the value's first on
    times, stride : how many, and bytes from one to the next
    rows : of each
    size : bytes of a row, what fills it up included
    groups, first_row : channel groups and rows before the first
    by_group : each of ``times`` is of a channel group of its own, else it is a row
    """

    address: int
    times: int
    stride: int
    rows: int
    size: int
    groups: int
    first_row: int
    by_group: bool

    @classmethod
    def of(cls, size: int) -> Run:
        """Return the run of some bytes."""
        return cls(0, 1, size, 1, size, 0, 0, True)


def runs(
    layout: FeatureMapLayout, groups: Block, area: Area, *, in_order: bool = False
) -> Iterator[Run]:
    """Yield how an area of some channel groups is moved, with as few commands as can be.

    Whole rows follow one another in memory. Of parts of rows, one command moves a row of all groups
    or all rows of a group. ``in_order`` : on chip, rows of a group follow one another.
    """
    row, group = layout.row_bytes, layout.group_bytes
    size = layout.columns_bytes(area.left, area.right)
    if isinstance(layout, PhasedLayout):
        yield from _phased_runs(layout, groups, area, in_order=in_order)
        return
    above = area.start + (layout.top if isinstance(layout, RowLayout) else 0)
    address = groups.kg * group + above * row + area.left * layout.pixel_bytes
    if area.width == layout.width:
        yield Run(address, groups.n_kg, group, area.rows, row, 0, 0, True)
    elif area.rows == 1 or (area.rows <= groups.n_kg and not in_order):
        for y in range(area.rows):
            yield Run(address + y * row, groups.n_kg, group, 1, size, 0, y, True)
    else:
        for n in range(groups.n_kg):
            yield Run(address + n * group, area.rows, row, 1, size, n, 0, False)


def _phased_runs(
    layout: PhasedLayout, groups: Block, area: Area, *, in_order: bool
) -> Iterator[Run]:
    """Yield what :func:`runs` does, phase by phase."""
    row, group = layout.row_bytes, layout.group_bytes
    size = layout.columns_bytes(area.left, area.right)
    before = 0
    for phase in layout.phases():
        low, high = (min(max(y - before, 0), len(phase)) for y in (area.start, area.stop))
        mine, above = phase[low:high], before + low - area.start
        before += len(phase)
        address = groups.kg * group + area.left * layout.pixel_bytes
        if mine and len(mine) <= groups.n_kg and not in_order:
            for n, y in enumerate(mine):
                yield Run(address + y * row, groups.n_kg, group, 1, size, 0, above + n, True)
        elif mine:
            address += mine[0] * row
            for n in range(groups.n_kg):
                at = address + n * group
                yield Run(at, len(mine), mine.step * row, 1, size, n, above, False)
