"""Which stages run together, and in how many strips: a search over the whole network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from tilewright.compiler.isa import EngineConfig
from tilewright.compiler.schedule.array_op import EngineLimitError
from tilewright.compiler.schedule.lower import LoweredGraph
from tilewright.compiler.schedule.plan import (
    Block,
    Group,
    Plan,
    make_group,
    plan_group,
    strip_counts,
)

Objective: TypeAlias = Literal["time", "traffic", "energy"]
"""What the schedule minimizes: cycles, bytes to and from memory, or energy."""

#: Cycles that a byte to or from memory counts as. Traffic decides between schedules of like speed
#: even where time is the objective; for energy, a byte of DRAM costs about as much as what the
#: engine spends in two cycles.
_CYCLES_PER_BYTE = {"time": 0.01, "traffic": 1000.0, "energy": 2.0}

#: Longest group considered.
MAX_STAGES = 16


def search(
    lowered: LoweredGraph, config: EngineConfig, objective: Objective = "time"
) -> tuple[Plan, ...]:
    """Cut a network into groups and plan each, at the least estimated cost.

    Dynamic programming over the cuts of the stages' order, exact for the estimates.

    Raises
    ------
    EngineLimitError
        If a stage does not fit even alone; it names the parameter that must grow.
    """
    count = len(lowered.stages)
    per_byte = _CYCLES_PER_BYTE[objective]
    best: list[tuple[float, tuple[Plan, ...]] | None] = [None] * (count + 1)
    best[0] = (0.0, ())
    for first in range(count):
        start = best[first]
        assert start is not None  # every stage fits alone
        misfits = 0
        for length in range(1, min(MAX_STAGES, count - first) + 1):
            plan = best_plan(make_group(lowered, first, length), lowered, config, per_byte)
            if isinstance(plan, EngineLimitError):
                if length == 1:
                    raise plan
                # A longer group may still fit, since what it ends with may be smaller; rarely.
                misfits += 1
                if misfits > 2:
                    break
                continue
            cost = start[0] + plan.cycles + per_byte * plan.traffic
            known = best[first + length]
            if known is None or cost < known[0]:
                best[first + length] = (cost, (*start[1], plan))
    end = best[count]
    assert end is not None
    return end[1]


def best_plan(
    group: Group, lowered: LoweredGraph, config: EngineConfig, per_byte: float
) -> Plan | EngineLimitError:
    """Return the best plan of a group, or why there is none."""
    best: Plan | None = None
    error = EngineLimitError(f"{group.ops[0].name}: there is no plan")
    for steps, blocks, ahead in _candidates(group, lowered):
        plan = plan_group(group, lowered, config, steps=steps, blocks=blocks, ahead=ahead)
        if isinstance(plan, EngineLimitError):
            error = plan
        elif best is None or _cost(plan, per_byte) < _cost(best, per_byte):
            best = plan
    return error if best is None else best


def _cost(plan: Plan, per_byte: float) -> float:
    return plan.cycles + per_byte * plan.traffic


def _candidates(
    group: Group, lowered: LoweredGraph
) -> Iterator[tuple[int, tuple[Block, ...], bool]]:
    """Yield steps, blocks and whether to load ahead."""
    height = max(lowered.values[stage.output].shape[1] for stage in group.stages[-1:])
    n_kg = group.ops[0].n_kg
    counts = {1}
    if len(group.stages) == 1:
        counts |= {min(n, n_kg) for n in (2, 4, 8, 16, 32, 64, n_kg)}
    for n_blocks in sorted(counts):
        size = -(-n_kg // n_blocks)
        blocks = tuple(Block(kg, min(size, n_kg - kg)) for kg in range(0, n_kg, size))
        if len(blocks) != n_blocks:
            continue
        for steps in strip_counts(height):
            for ahead in (True, False) if steps > 1 else (True,):
                yield steps, blocks, ahead
