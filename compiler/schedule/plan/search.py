"""Which stages run together, and in how many strips: a search over the whole network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.limits import EngineLimitError
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.objective import CYCLES_PER_BYTE, Objective
from tilewright.compiler.schedule.plan.cost import Cost, estimate
from tilewright.compiler.schedule.plan.group import Group, make_group
from tilewright.compiler.schedule.plan.rings import frontiers
from tilewright.compiler.schedule.plan.strips import Plan, plan_group
from tilewright.isa import EngineConfig

#: Longest group considered.
MAX_STAGES = 24

#: Numbers of strips tried beyond the fewest that fit: more strips start and end sooner, but repeat
#: more.
_TRIED = 5


CostModel: TypeAlias = Callable[[Plan, LoweredGraph, EngineConfig], Cost]
"""What tells plans apart."""


@dataclass(frozen=True)
class Choice:
    """A plan, and what it costs."""

    plan: Plan
    cost: Cost


def search(
    lowered: LoweredGraph,
    config: EngineConfig,
    objective: Objective = "time",
    model: CostModel = estimate,
) -> tuple[Choice, ...]:
    """Cut a network into groups and plan each, at the least cost.

    Dynamic programming over the cuts of the stages' order, exact for the costs of ``model``.

    Raises
    ------
    EngineLimitError
        If a stage does not fit even alone; it names the parameter that must grow.
    """
    count = len(lowered.stages)
    per_byte = CYCLES_PER_BYTE[objective]
    best: list[tuple[float, tuple[Choice, ...]] | None] = [None] * (count + 1)
    best[0] = (0.0, ())
    for first in range(count):
        start = best[first]
        assert start is not None  # every stage fits alone
        misfits, least = 0, 1
        for length in range(1, min(MAX_STAGES, count - first) + 1):
            group = make_group(lowered, first, length)
            choice, steps = best_plan(group, lowered, config, per_byte, least, model)
            if isinstance(choice, EngineLimitError):
                if length == 1:
                    raise choice
                # A longer group may still fit, since what it ends with may be smaller; rarely.
                misfits += 1
                if misfits > 2:
                    break
                continue
            # What a longer group keeps on chip is more, strip for strip.
            least = steps
            cost = start[0] + choice.cost.weighed(per_byte)
            known = best[first + length]
            if known is None or cost < known[0]:
                best[first + length] = (cost, (*start[1], choice))
    end = best[count]
    assert end is not None
    return end[1]


def best_plan(
    group: Group,
    lowered: LoweredGraph,
    config: EngineConfig,
    per_byte: float,
    least: int = 1,
    model: CostModel = estimate,
) -> tuple[Choice, int] | tuple[EngineLimitError, int]:
    """Return the best plan of a group, or why there is none; and the fewest strips that fit.

    ``least``: fewer strips need not be tried.
    """
    best: Choice | None = None
    fewest = 0
    error = EngineLimitError(f"{group.stages[0].name}: there is no plan")
    outputs = {stage.output for stage in group.stages}
    moved = any(outputs.intersection(stage.positions) for stage in group.stages)

    @cache
    def complete(strips: tuple[int, ...], early: bool) -> dict[str, tuple[int, ...]]:
        return frontiers(group, lowered, strips, early)

    for blocks in _cuts(group):
        fitting = 0
        for strips in _strips(group, lowered):
            steps = len(strips)
            if steps < least:
                continue
            plans = [
                plan_group(
                    group,
                    lowered,
                    config,
                    strips=strips,
                    blocks=blocks,
                    ahead=ahead,
                    early=early,
                    frontier=complete(strips, early),
                )
                for ahead in ((True, False) if steps > 1 else (True,))
                for early in ((False, True) if ahead and steps > 1 and moved else (False,))
            ]
            for plan in plans:
                if isinstance(plan, EngineLimitError):
                    error = plan
                    continue
                cost = model(plan, lowered, config)
                if best is None or cost.weighed(per_byte) < best.cost.weighed(per_byte):
                    best = Choice(plan, cost)
            if isinstance(plans[0], Plan):
                fewest = min(fewest or steps, steps)
                fitting += 1
                if fitting == _TRIED:
                    break
    return (error, least) if best is None else (best, max(fewest, least))


def _cuts(group: Group) -> Iterator[tuple[Block, ...]]:
    """Yield ways to run a group once for each of several blocks of kernel groups."""
    n_kg = group.stages[0].n_kg
    counts = {1}
    if len(group.stages) == 1:
        counts |= {min(n, n_kg) for n in (2, 4, 8, 16, 32, 64, n_kg)}
        counts.add(len({section.cg for section in group.ops[0].sections}))
    for n_blocks in sorted(counts):
        size = -(-n_kg // n_blocks)
        blocks = tuple(Block(kg, min(size, n_kg - kg)) for kg in range(0, n_kg, size))
        if len(blocks) == n_blocks:
            yield blocks


def _strips(group: Group, lowered: LoweredGraph) -> Iterator[tuple[int, ...]]:
    """Yield ways to cut the rows, from one strip to one per row, as complete rows after each.

    The first strip has half the rows of the others, since nothing overlaps with its load.
    """
    height = lowered.values[group.stages[-1].output].shape[1]
    rows = height
    yield (height,)
    while rows > 1:
        rows = max(1, rows * 2 // 3)
        first = (rows + 1) // 2
        yield (*range(first, height, rows), height)
