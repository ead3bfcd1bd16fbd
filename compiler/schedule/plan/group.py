"""Consecutive stages that run together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.lowered import LoweredGraph


@dataclass(frozen=True, eq=False)
class Group:
    """Stages ``first .. first + len(stages) - 1`` of a network.

    ``loads``: values read from memory; ``stores``: values written to memory; ``aliased``: values
    whose bytes it loads as others; ``images``: whose rows its values have, one behind the other.
    """

    first: int
    stages: tuple[Stage, ...]
    loads: tuple[str, ...]
    stores: frozenset[str]
    aliased: frozenset[str]
    images: int = 1

    @cached_property
    def consumers(self) -> dict[str, tuple[Stage, ...]]:
        """Stages of the group that read each value."""
        result: dict[str, tuple[Stage, ...]] = {}
        for stage in self.stages:
            for value in dict.fromkeys(stage.inputs):
                result[value] = (*result.get(value, ()), stage)
        return result

    @cached_property
    def moved(self) -> dict[str, tuple[Stage, ...]]:
        """Stages of the group that read each value as positions."""
        result: dict[str, tuple[Stage, ...]] = {}
        for stage in self.stages:
            for value in stage.positions:
                result[value] = (*result.get(value, ()), stage)
        return result

    @cached_property
    def backwards(self) -> tuple[str, ...]:
        """What it computes, from the last to the first, and what it loads."""
        return (*(stage.output for stage in reversed(self.stages)), *self.loads)

    @cached_property
    def tile_rows(self) -> dict[str, int]:
        """Rows of each value it computes that are computed together."""
        return {stage.output: stage.tile_rows for stage in self.stages}

    @cached_property
    def factors(self) -> frozenset[str]:
        """Values of which all must be in memory before any is loaded: as weights, or as others."""
        weights = (v for op in self.ops for v in op.weights.source.from_memory)
        return frozenset((*weights, *self.aliased))

    @cached_property
    def from_memory(self) -> frozenset[str]:
        """Values that operations read from memory, wherever else they are."""
        return frozenset(value for op in self.ops for value in op.from_memory)

    @cached_property
    def ops(self) -> tuple[ArrayOp, ...]:
        """All operations, in order."""
        return tuple(op for stage in self.stages for op in stage.ops)


def stacked_group(lowered: LoweredGraph, first: int, count: int, images: int) -> Group | None:
    """Return the group of ``count`` stages from ``first``, of several images at once.

    None if a stage has but one.
    """
    stages = lowered.stacked(images)[first : first + count]
    tall = tuple(stage for stage in stages if stage is not None)
    if len(tall) < count:
        return None
    return replace(make_group(lowered, first, count), stages=tall, images=images)


def make_group(lowered: LoweredGraph, first: int, count: int) -> Group:
    """Return the group of ``count`` stages from ``first``."""
    stages = lowered.stages[first : first + count]
    inside = [stage.output for stage in stages]
    read = dict.fromkeys(value for stage in stages for value in stage.inputs)
    last, in_memory = lowered.last_reader, lowered.read_from_memory
    # What reads a value that is computed here comes after it.
    stores = (v for v in inside if last.get(v, -1) >= first + count or v in in_memory)
    loads = tuple(value for value in read if value not in set(inside))
    stored = [lowered.stored(v) for v in loads]
    by_rows = (lowered.written_as_rows.get(v, frozenset()) for v in stored)
    aliased = frozenset(s for v, s in zip(loads, stored, strict=True) if v != s).union(*by_rows)
    return Group(first, stages, loads, frozenset(stores), aliased)
