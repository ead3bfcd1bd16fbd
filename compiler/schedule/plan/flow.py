"""Rows of values, step by step: which are complete, and how many of them stay on chip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.plan.group import Group
from tilewright.isa.layout import align

Frontier: TypeAlias = dict[str, tuple[int, ...]]
"""Per value, its complete rows after each step, from 0 before the first."""


@dataclass(frozen=True)
class Kept:
    """Rows of a value that are on chip at once.

    Parameters
    ----------
    rows : most of a step
    ahead : most, with those of the next step beside them
    used_up : nothing stays from step to step
    """

    rows: int
    ahead: int
    used_up: bool


class Flow:
    """Rows of the values of groups that end with the same stage, in the same strips.

    Which rows of a value are needed depends on the stages behind it alone. So what is found for a
    group is as good for one that begins sooner.

    Parameters
    ----------
    lowered : LoweredGraph
    strips : rows of the last output that are complete after each step
    images : whose rows values have, one behind the other
    early : offsets are complete a step before they are used, so that they come back from memory
        while the array is busy
    """

    def __init__(
        self, lowered: LoweredGraph, strips: tuple[int, ...], images: int = 1, *, early: bool
    ) -> None:
        self._lowered = lowered
        self._images = images
        self._strips = strips
        self._early = early
        self._rows: dict[_Reading, tuple[int, ...]] = {}
        self._kept: dict[_Reading, Kept] = {}

    def frontier(self, group: Group) -> Frontier:
        """Return, per value, its rows complete after each step."""
        result: Frontier = {}
        for value in group.backwards:
            key = _reading(group, value)
            rows = self._rows.get(key)
            if rows is None:
                rows = self._rows[key] = tuple(self._complete(group, value, result))
            result[value] = rows
        return result

    def _complete(self, group: Group, value: str, later: Frontier) -> Iterator[int]:
        """Yield the complete rows of a value, given those of what is computed of it."""
        strips, steps = self._strips, len(self._strips)
        height = self._lowered.values[value].shape[1] * self._images
        readers = [(stage, later[stage.output]) for stage in group.consumers.get(value, ())]
        moved = [later[stage.output] for stage in group.moved.get(value, ())]
        together = group.tile_rows.get(value, 1)
        complete = 0
        yield complete
        for step in range(1, steps + 1):
            needed = 0 if readers or moved else -(-height * strips[step - 1] // strips[-1])
            for stage, rows in readers:
                done, due = rows[step - 1], rows[step]
                if due > done:
                    needed = max(needed, stage.input_rows(done, due)[1])
            used = min(step + self._early, steps)
            needed = max([needed, *(rows[used] for rows in moved)])
            if step == steps and value in group.stores:
                needed = height
            # Rows of tiles are computed together.
            complete = max(complete, min(align(needed, together), height))
            yield complete

    def kept(self, group: Group, value: str, frontier: Frontier) -> Kept:
        """Return how many rows of a value that is read stay on chip.

        ``frontier`` : of the group
        """
        key = _reading(group, value)
        known = self._kept.get(key)
        if known is None:
            known = self._kept[key] = _kept(value, group.consumers[value], frontier)
        return known


_Reading: TypeAlias = tuple[str, tuple[Stage, ...], tuple[Stage, ...], bool, int]
"""A value, the stages of a group that read it on chip, and those that read it as positions; whether
the group stores it, and how many of its rows it computes together.

A group that begins behind a value loads the rows that it reads; one that computes it stores all.
"""


def _reading(group: Group, value: str) -> _Reading:
    consumers, moved = group.consumers.get(value, ()), group.moved.get(value, ())
    return value, consumers, moved, value in group.stores, group.tile_rows.get(value, 1)


def _kept(value: str, readers: tuple[Stage, ...], frontier: Frontier) -> Kept:
    """Return how many rows of a value stay, given those of what is computed of it."""
    made = frontier[value]
    steps = len(made) - 1
    most = ahead = 1
    used_up = True
    # The first row that a reader needs from a step on, where it has rows to compute.
    needed = [made[-1]] * (steps + 1)
    for stage in readers:
        height, rows = stage.output_type.shape[1], frontier[stage.output]
        for step, done in enumerate(rows):
            if done < rows[-1]:
                needed[step] = min(needed[step], stage.input_rows(done, height)[0])
    for step in range(1, steps + 1):
        first = min(made[step], needed[step - 1])
        most = max(most, made[step] - first)
        ahead = max(ahead, made[min(step + 1, steps)] - first)
        used_up = used_up and min(made[step], needed[step]) == made[step]
    return Kept(most, ahead, used_up)
