"""Which stages run together, and in how many strips: a search over the whole network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.objective import CYCLES_PER_BYTE, Objective
from tilewright.compiler.schedule.plan.group import make_group, stacked_group
from tilewright.compiler.schedule.plan.ways import (
    Choice,
    CostModel,
    Found,
    Network,
    best_plan,
)

#: Longest group considered.
MAX_STAGES = 24


@dataclass(frozen=True)
class Schedule:
    """How a network runs: a choice for each group, and what all of them cost, weighed."""

    choices: tuple[Choice, ...] = ()
    weighed: float = 0.0

    @property
    def traffic(self) -> int:
        """Bytes to and from memory, without those of commands."""
        return sum(choice.cost.traffic for choice in self.choices)

    @property
    def stacked(self) -> bool:
        """Whether a group runs several images at once."""
        return any(choice.plan.group.images > 1 for choice in self.choices)

    def sooner_done(self) -> Schedule | None:
        """Return the same with less to compute once all weights are there, or None.

        Networks can have such that end with a fully connected layer: its weights take the time.
        """
        if not self.choices:
            return None
        last = self.choices[-1]
        plan = last.plan
        pixels = plan.group.stages[-1].output_type.shape[1:]
        if plan.runs > 1 or plan.parts is not None or len(plan.blocks) > 1 or pixels != (1, 1):
            return None
        weights = plan.weights.halved_end()
        if weights is None:
            return None
        choice = replace(last, plan=replace(plan, weights=weights))
        return replace(self, choices=(*self.choices[:-1], choice))


def search(
    lowered: LoweredGraph,
    model: CostModel,
    objective: Objective = "time",
    few: int = 1,
    *,
    command: int,
    images: int = 1,
    stacks: bool = True,
) -> tuple[Schedule, ...]:
    """Cut a network into groups and plan each, at the least cost.

    Dynamic programming over the cuts of the stages' order, exact for the costs of ``model``.
    Returns the best ways to cut it, ``few`` at most, the best one first. ``command``: cycles that
    the array loses between two commands; ``images``: that a program runs, each group all of them
    before the next group; ``stacks``: all at once, too, if the engine can.

    Raises
    ------
    EngineLimitError
        If a stage does not fit even alone; it names the parameter that must grow.
    """
    count = len(lowered.stages)
    per_byte = CYCLES_PER_BYTE[objective]
    network = Network(lowered, model, per_byte, command, images)
    alone = [best_plan(make_group(lowered, first, 1), network) for first in range(count)]
    # Rows stay whole but where a stage's do not fit.
    narrow = [found.error is not None for found in alone]
    best: list[list[Schedule]] = [[] for _ in range(count + 1)]
    best[0] = [Schedule()]
    for first in range(count):
        _extend(best, first, network, few, alone=alone, narrow=narrow)
        if stacks and lowered.config.stacked_images and images > 1:
            _extend_stacked(best, first, network, few)
    return tuple(best[count])


def _extend(
    best: list[list[Schedule]],
    first: int,
    network: Network,
    few: int,
    *,
    alone: Sequence[Found],
    narrow: Sequence[bool],
) -> None:
    """Add schedules that go on with a group that begins with a stage.

    Parameters
    ----------
    best : of the stages up to each, ``few`` at most
    alone, narrow : of each stage by itself, its best plan, and whether its rows are too wide
    """
    lowered, count = network.lowered, len(alone)
    misfits, least = 0, 1
    for length in range(1, min(MAX_STAGES, count - first) + 1):
        known, cut = best[first + length], any(narrow[first : first + length])
        worth = known[-1].weighed - best[first][0].weighed if len(known) == few else inf
        if length == 1:
            found = alone[first]
            if cut:
                group = make_group(lowered, first, 1)
                found = best_plan(group, network, cut=True)
        else:
            group = make_group(lowered, first, length)
            found = best_plan(group, network, least, worth, cut=cut)
        if found.error is not None:
            if length == 1:
                raise found.error
            # A longer group may still fit, since what it ends with may be smaller; rarely.
            misfits += 1
            if misfits > 2:
                break
            continue
        # What a longer group keeps on chip is more, strip for strip.
        least = 1 if cut else found.steps
        _add(known, best[first], found, network, few)


def _extend_stacked(best: list[list[Schedule]], first: int, network: Network, few: int) -> None:
    """Add schedules that go on with a group that runs all images at once, as :func:`_extend`."""
    lowered, least = network.lowered, 1
    for length in range(1, min(MAX_STAGES, len(lowered.stages) - first) + 1):
        group, known = stacked_group(lowered, first, length, network.images), best[first + length]
        if group is None:
            break
        worth = known[-1].weighed - best[first][0].weighed if len(known) == few else inf
        found = best_plan(group, network, least, worth)
        if found.error is not None:
            break
        least = found.steps
        _add(known, best[first], found, network, few)


def _add(
    known: list[Schedule], before: list[Schedule], found: Found, network: Network, few: int
) -> None:
    """Add to the best schedules those that go on with a group's best plan, if it is good enough."""
    if found.choice is None:
        return
    cost = found.choice.cost.weighed(network.per_byte)
    known += [Schedule((*start.choices, found.choice), start.weighed + cost) for start in before]
    known.sort(key=lambda schedule: schedule.weighed)
    del known[few:]
