"""Which stages run together, and in how many strips: a search over the whole network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.limits import EngineLimitError
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.objective import CYCLES_PER_BYTE, Objective
from tilewright.compiler.schedule.plan.columns import ColumnCut, column_cuts, whole_rows
from tilewright.compiler.schedule.plan.cost import Cost, estimate
from tilewright.compiler.schedule.plan.group import Group, make_group
from tilewright.compiler.schedule.plan.parts import Parts, parts_of, too_small
from tilewright.compiler.schedule.plan.rings import frontiers
from tilewright.compiler.schedule.plan.strips import Plan, plan_group
from tilewright.isa import EngineConfig

#: Longest group considered.
MAX_STAGES = 24

#: Numbers of strips tried beyond the fewest that fit: more strips start and end sooner, but repeat
#: more.
_TRIED = 5
_TRIED_IN_PARTS = 2

#: Numbers of strips of columns tried, from the fewest that fit.
_TRIED_CUTS = 3


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
    alone = [
        best_plan(make_group(lowered, first, 1), lowered, config, per_byte, model=model)
        for first in range(count)
    ]
    # Rows stay whole but where a stage's do not fit.
    narrow = [isinstance(choice, EngineLimitError) for choice, _ in alone]
    best: list[tuple[float, tuple[Choice, ...]] | None] = [None] * (count + 1)
    best[0] = (0.0, ())
    for first in range(count):
        start = best[first]
        assert start is not None  # every stage fits alone
        misfits, least = 0, 1
        for length in range(1, min(MAX_STAGES, count - first) + 1):
            group = make_group(lowered, first, length)
            cut = any(narrow[first : first + length])
            if length == 1 and not cut:
                choice, steps = alone[first]
            else:
                choice, steps = best_plan(group, lowered, config, per_byte, least, model, cut=cut)
            if isinstance(choice, EngineLimitError):
                if length == 1:
                    raise choice
                # A longer group may still fit, since what it ends with may be smaller; rarely.
                misfits += 1
                if misfits > 2:
                    break
                continue
            # What a longer group keeps on chip is more, strip for strip.
            least = 1 if cut else steps
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
    *,
    cut: bool = False,
) -> tuple[Choice, int] | tuple[EngineLimitError, int]:
    """Return the best plan of a group, or why there is none; and the fewest strips that fit.

    ``least``: fewer strips need not be tried; ``cut``: strips of columns are tried, too.
    """
    attempt = _Attempt(group, lowered, config, per_byte, model)
    for blocks in _cuts(group):
        attempt.rows(blocks, whole_rows(group, lowered), least)
    fewest = attempt.fewest
    fitting: Counter[tuple[Block, ...]] = Counter()
    for columns in column_cuts(group, lowered, config) if cut else ():
        for blocks in _cuts(group):
            fitting[blocks] += attempt.rows(blocks, columns, 1)
        if max(fitting.values()) == _TRIED_CUTS:
            break
    if attempt.best is None and len(group.stages) == 1:
        _in_parts(attempt, group, lowered, config, cut=cut)
        attempt.error = too_small(group.stages[0], config) or attempt.error
    if attempt.best is None:
        return attempt.error, least
    return attempt.best, max(fewest, least)


def _in_parts(
    attempt: _Attempt, group: Group, lowered: LoweredGraph, config: EngineConfig, *, cut: bool
) -> None:
    """Try to have the sums of a group's only stage in parts."""
    (stage,) = group.stages
    together = (Block(0, stage.n_kg),)
    each = tuple(Block(kg, 1) for kg in range(stage.n_kg))
    columns = [whole_rows(group, lowered)]
    for fits in column_cuts(group, lowered, config) if cut else ():
        columns.append(fits)
    tried = 0
    for cuts in columns:
        found = False
        for parts in parts_of(stage, config, cuts, streamed=False):
            for blocks in dict.fromkeys((together, each)):
                found |= attempt.rows(blocks, cuts, 1, parts)
        if cut:
            for parts in parts_of(stage, config, cuts, streamed=True):
                found |= attempt.rows(together, cuts, 1, parts)
        tried += found
        if tried == _TRIED_CUTS:
            return


class _Attempt:
    """The best plan of a group among those that were tried.

    Attributes
    ----------
    best : Choice, or None if none fits
    error : why the last one that does not fit does not
    fewest : strips of rows of a plan that fits
    """

    def __init__(
        self,
        group: Group,
        lowered: LoweredGraph,
        config: EngineConfig,
        per_byte: float,
        model: CostModel,
    ) -> None:
        self._group, self._lowered, self._config = group, lowered, config
        self._per_byte, self._model = per_byte, model
        self._complete: dict[tuple[tuple[int, ...], bool], dict[str, tuple[int, ...]]] = {}
        outputs = {stage.output for stage in group.stages}
        self._moved = any(outputs.intersection(stage.positions) for stage in group.stages)
        self.best: Choice | None = None
        self.error = EngineLimitError(f"{group.stages[0].name}: there is no plan")
        self.fewest = 0

    def rows(
        self,
        blocks: tuple[Block, ...],
        columns: ColumnCut,
        least: int,
        parts: Parts | None = None,
    ) -> bool:
        """Try numbers of strips of rows, ``least`` or more; return whether any fits."""
        fitting = 0
        strips = [s for s in _strips(self._group, self._lowered) if len(s) >= least]
        if len(columns.strips) > 1 and strips:
            # Where single rows do not fit, nothing does.
            found = self._plan(blocks, columns, strips[-1], parts, ahead=False, early=False)
            if isinstance(found, EngineLimitError):
                self.error = found
                return False
        for rows in strips:
            fitting += self._ways(blocks, columns, rows, parts)
            if fitting == (_TRIED if parts is None else _TRIED_IN_PARTS):
                break
        return fitting > 0

    def _ways(
        self,
        blocks: tuple[Block, ...],
        columns: ColumnCut,
        strips: tuple[int, ...],
        parts: Parts | None,
    ) -> bool:
        """Try strips of rows, loaded ahead or not; return whether they fit if loaded ahead."""
        steps = len(strips)
        fits = False
        for ahead in (True, False) if steps > 1 else (True,):
            for early in (False, True) if ahead and steps > 1 and self._moved else (False,):
                plan = self._plan(blocks, columns, strips, parts, ahead=ahead, early=early)
                if isinstance(plan, EngineLimitError):
                    self.error = plan
                    continue
                if ahead and not early:
                    fits = True
                    self.fewest = min(self.fewest or steps, steps)
                cost = self._model(plan, self._lowered, self._config)
                weighed = cost.weighed(self._per_byte)
                if self.best is None or weighed < self.best.cost.weighed(self._per_byte):
                    self.best = Choice(plan, cost)
        return fits

    def _plan(
        self,
        blocks: tuple[Block, ...],
        columns: ColumnCut,
        strips: tuple[int, ...],
        parts: Parts | None,
        *,
        ahead: bool,
        early: bool,
    ) -> Plan | EngineLimitError:
        key = strips, early
        if key not in self._complete:
            self._complete[key] = frontiers(self._group, self._lowered, strips, early)
        return plan_group(
            self._group,
            self._lowered,
            self._config,
            strips=strips,
            blocks=blocks,
            columns=columns,
            ahead=ahead,
            early=early,
            frontier=self._complete[key],
            parts=parts,
        )


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
