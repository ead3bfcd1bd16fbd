"""Consecutive stages that run together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.lowered import LoweredGraph


@dataclass(frozen=True, eq=False)
class Group:
    """Stages ``first .. first + len(stages) - 1`` of a network.

    ``loads``: values read from memory; ``stores``: values written to memory.
    """

    first: int
    stages: tuple[Stage, ...]
    loads: tuple[str, ...]
    stores: frozenset[str]

    @cached_property
    def consumers(self) -> dict[str, tuple[Stage, ...]]:
        """Stages of the group that read each value."""
        result: dict[str, tuple[Stage, ...]] = {}
        for stage in self.stages:
            for value in dict.fromkeys(stage.inputs):
                result[value] = (*result.get(value, ()), stage)
        return result

    @cached_property
    def factors(self) -> frozenset[str]:
        """Values that are loaded as weights."""
        return frozenset(v for op in self.ops for v in op.weights.source.from_memory)

    @cached_property
    def from_memory(self) -> frozenset[str]:
        """Values that operations read from memory, wherever else they are."""
        return frozenset(value for op in self.ops for value in op.from_memory)

    @cached_property
    def ops(self) -> tuple[ArrayOp, ...]:
        """All operations, in order."""
        return tuple(op for stage in self.stages for op in stage.ops)


def make_group(lowered: LoweredGraph, first: int, count: int) -> Group:
    """Return the group of ``count`` stages from ``first``."""
    stages = lowered.stages[first : first + count]
    inside = {stage.output for stage in stages}
    read = dict.fromkeys(value for stage in stages for value in stage.inputs)
    later = {value for stage in lowered.stages[first + count :] for value in stage.inputs}
    later |= {op.input for op in lowered.graph.outputs}
    later |= {v for stage in lowered.stages[first:] for op in stage.ops for v in op.from_memory}
    return Group(
        first,
        stages,
        tuple(value for value in read if value not in inside),
        frozenset(inside & later),
    )
