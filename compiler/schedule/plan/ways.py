"""The best way to run a group: its blocks, strips of rows and of columns, parts of sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from math import inf
from typing import TypeAlias

from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.limits import EngineLimitError
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.plan.columns import ColumnCut, column_cuts, whole_rows
from tilewright.compiler.schedule.plan.cost import Cost
from tilewright.compiler.schedule.plan.flow import Flow
from tilewright.compiler.schedule.plan.group import Group
from tilewright.compiler.schedule.plan.parts import Parts, parts_of, sparse_parts, too_small
from tilewright.compiler.schedule.plan.rings import Spans, read_groups
from tilewright.compiler.schedule.plan.strips import Draft, Plan, check, place, too_many_taps
from tilewright.compiler.schedule.plan.weights import WeightPlan, plan_weights

#: Numbers of strips tried beyond the fewest that fit: more strips start and end sooner, but repeat
#: more.
_TRIED = 5
_TRIED_IN_PARTS = 2

#: Numbers of strips of columns tried, from the fewest that fit.
_TRIED_CUTS = 3


CostModel: TypeAlias = Callable[[Draft], Cost]
"""What tells plans apart."""


@dataclass(frozen=True)
class Choice:
    """A plan, and what it costs."""

    plan: Plan
    cost: Cost


@dataclass(frozen=True)
class Network:
    """What all groups of a search share.

    Parameters
    ----------
    lowered, model : as for :func:`search`
    per_byte : cycles that a byte counts as
    command, images : as for :func:`search`
    flows : what is known of rows, by the number of the last stage, strips and whether early
    """

    lowered: LoweredGraph
    model: CostModel
    per_byte: float
    command: int
    images: int
    flows: dict[tuple[int, tuple[int, ...], int, bool], Flow] = field(default_factory=dict)

    def flow(self, group: Group, strips: tuple[int, ...], *, early: bool) -> Flow:
        """Return what is known of the rows of a group."""
        key = group.first + len(group.stages), strips, group.images, early
        known = self.flows.get(key)
        if known is None:
            known = self.flows[key] = Flow(self.lowered, strips, group.images, early=early)
        return known


@dataclass(frozen=True)
class Found:
    """What is known of a group.

    Parameters
    ----------
    choice : the best plan, if any is good enough
    error : why there is none, if none fits
    steps : the fewest strips that fit
    """

    choice: Choice | None
    error: EngineLimitError | None
    steps: int


def best_plan(
    group: Group,
    network: Network,
    least: int = 1,
    worth: float = inf,
    *,
    cut: bool = False,
) -> Found:
    """Return the best plan of a group.

    ``least``: fewer strips need not be tried; ``worth``: what costs as much is of no use, and is
    taken to fit; ``cut``: strips of columns are tried, too.
    """
    lowered, attempt = network.lowered, _Attempt(group, network, worth)
    for blocks in _cuts(group):
        attempt.rows(blocks, whole_rows(group, lowered), least)
    fewest = attempt.fewest
    if cut:
        _in_columns(attempt, group, lowered)
    alone = len(group.stages) == 1 and group.images == 1
    if alone:
        _without_zeros(attempt, group, network)
    if not attempt.fits and alone:
        _in_parts(attempt, group, lowered, cut=cut)
        attempt.error = too_small(group.stages[0], lowered.config) or attempt.error
    if attempt.fits:
        return Found(attempt.best, None, max(fewest, least))
    return Found(None, attempt.error, least)


def _in_columns(attempt: _Attempt, group: Group, lowered: LoweredGraph) -> None:
    """Try strips of columns, unless something else than rows has no room."""
    config = lowered.config
    if check(group, 2) or too_many_taps(group, config):
        return
    some = [b for b in _cuts(group) if isinstance(plan_weights(group, config, b, 2), WeightPlan)]
    fitting = Counter({blocks: 0 for blocks in some})
    for columns in column_cuts(group, lowered, config) if some else ():
        for blocks in some:
            fitting[blocks] += attempt.rows(blocks, columns, 1)
        if max(fitting.values()) == _TRIED_CUTS:
            return


def _without_zeros(attempt: _Attempt, group: Group, network: Network) -> None:
    """Try to leave weights that are zero out of the sums of a group's only stage."""
    (stage,), cuts = group.stages, whole_rows(group, network.lowered)
    each = tuple(Block(kg, 1) for kg in range(stage.n_kg))
    for parts in sparse_parts(stage, network.lowered.config, cuts, network.command):
        for blocks in dict.fromkeys(((Block(0, stage.n_kg),), each)):
            attempt.rows(blocks, cuts, 1, parts)


def _in_parts(attempt: _Attempt, group: Group, lowered: LoweredGraph, *, cut: bool) -> None:
    """Try to have the sums of a group's only stage in parts."""
    (stage,), config = group.stages, lowered.config
    together = (Block(0, stage.n_kg),)
    each = tuple(Block(kg, 1) for kg in range(stage.n_kg))
    narrower = column_cuts(group, lowered, config) if cut else ()
    tried = 0
    for cuts in chain((whole_rows(group, lowered),), narrower):
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
    best : Choice, or None if none is good enough
    fits : whether there is a plan
    error : why the last one that does not fit does not
    fewest : strips of rows of a plan that fits
    """

    def __init__(self, group: Group, network: Network, worth: float) -> None:
        self._group, self._network, self._worth = group, network, worth
        self._lowered, self._config = network.lowered, network.lowered.config
        self._spans: dict[tuple[Block, ...], tuple[Spans, ...]] = {}
        self._weights: dict[tuple[tuple[Block, ...], bool], WeightPlan | EngineLimitError] = {}
        self._moved = any(stage.output in group.moved for stage in group.stages)
        self._taps = too_many_taps(group, self._config)
        self.best: Choice | None = None
        self.fits = False
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
        height = self._group.stages[-1].output_type.shape[1]
        strips = [s for s in _strips(height) if len(s) >= least]
        if parts is not None and parts.lane_slots:  # no row stays from strip to strip
            strips = strips[:1]
        if len(columns.strips) > 1 and strips:
            # Where single rows do not fit, nothing does.
            found = self._draft(blocks, columns, strips[-1], parts, ahead=False, early=False)
            if isinstance(found, Draft):
                found = place(found, self._lowered, self._config)
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
        """Try strips of rows, loaded ahead or not; return whether they fit if loaded ahead.

        Where they do, or would be too expensive, others cost no less that are not loaded ahead.
        """
        steps = len(strips)
        fits = self._way(blocks, columns, strips, parts)
        if fits:
            self.fewest = min(self.fewest or steps, steps)
        if steps > 1 and self._moved:
            self._way(blocks, columns, strips, parts, early=True)
        if steps > 1 and not fits:
            self._way(blocks, columns, strips, parts, ahead=False)
        return fits

    def _way(
        self,
        blocks: tuple[Block, ...],
        columns: ColumnCut,
        strips: tuple[int, ...],
        parts: Parts | None,
        *,
        ahead: bool = True,
        early: bool = False,
    ) -> bool:
        """Try one way to run in strips of rows; return whether it fits."""
        draft = self._draft(blocks, columns, strips, parts, ahead=ahead, early=early)
        if isinstance(draft, EngineLimitError):
            self.error = draft
            return False
        return self._good(draft)

    def _good(self, draft: Draft) -> bool:
        """Keep a plan if it is the best so far; return whether it fits.

        What is too expensive is not placed, and taken to fit.
        """
        network = self._network
        cost = network.model(draft)
        if cost.weighed(network.per_byte) < self._worth:
            plan = place(draft, self._lowered, self._config)
            if isinstance(plan, EngineLimitError):
                self.error = plan
                return False
            self.best, self._worth = Choice(plan, cost), cost.weighed(network.per_byte)
        self.fits = True
        return True

    def _draft(
        self,
        blocks: tuple[Block, ...],
        columns: ColumnCut,
        strips: tuple[int, ...],
        parts: Parts | None,
        *,
        ahead: bool,
        early: bool,
    ) -> Draft | EngineLimitError:
        """Return what a plan's cost depends on, or why there is no plan."""
        group, lowered, config = self._group, self._lowered, self._config
        runs = len(strips) * len(columns.strips)
        if wrong := check(group, runs):
            return wrong
        # Weights that are made of an image's values are no other's.
        images = 1 if group.factors or group.images > 1 else self._network.images
        runs *= images
        weights: WeightPlan | EngineLimitError = WeightPlan((False,), (tuple(blocks),), 0)
        if parts is None:
            key = blocks, runs > 1
            if key not in self._weights:
                self._weights[key] = self._taps or plan_weights(group, config, blocks, runs)
            weights = self._weights[key]
        if blocks not in self._spans:
            self._spans[blocks] = tuple(
                read_groups(group, lowered, config, block if len(blocks) > 1 else None)
                for block in blocks
            )
        flow = self._network.flow(group, strips, early=early)
        draft = Draft(
            group=group,
            strips=strips,
            blocks=blocks,
            columns=columns,
            ahead=ahead,
            early=early,
            flow=flow,
            frontier=flow.frontier(group),
            spans=self._spans[blocks],
            weights=WeightPlan((), (), 0) if isinstance(weights, EngineLimitError) else weights,
            parts=parts,
            images=images,
        )
        if isinstance(weights, EngineLimitError):
            # That rows have no room is said first.
            placed = place(draft, lowered, config)
            return placed if isinstance(placed, EngineLimitError) else weights
        return draft


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


@lru_cache(maxsize=256)
def _strips(height: int) -> tuple[tuple[int, ...], ...]:
    """Return ways to cut rows, from one strip to one per row, as complete rows after each.

    The first strip has half the rows of the others, since nothing overlaps with its load.
    """
    result, rows = [(height,)], height
    while rows > 1:
        rows = max(1, rows * 2 // 3)
        first = (rows + 1) // 2
        result.append((*range(first, height, rows), height))
    return tuple(result)
