"""Groups of stages that run strip by strip, with everything between them on chip.

A group is a run of consecutive stages. Its values live in rings of rows: those it computes are read
by later stages of the group straight from the activation buffer, those it reads from memory are
loaded once. In each step every stage computes as many rows as the group's outputs will need next,
so that no row is computed or loaded twice and none is kept longer than its last reader needs it.

Where even single rows do not fit, all of that happens for one strip of columns after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from tilewright.compiler.schedule.array.parts import pass_loops
from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.array.weights import WeightSource
from tilewright.compiler.schedule.limits import EngineLimitError, at_least
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.plan.columns import ColumnCut
from tilewright.compiler.schedule.plan.flow import Flow, Frontier
from tilewright.compiler.schedule.plan.group import Group
from tilewright.compiler.schedule.plan.parts import Parts
from tilewright.compiler.schedule.plan.rings import (
    Spans,
    chains_of,
    place_rings,
    room,
)
from tilewright.compiler.schedule.plan.weights import WeightPlan
from tilewright.isa import EngineConfig
from tilewright.isa.parts import MOST_BEFORE


@dataclass(frozen=True, eq=False, kw_only=True)
class Draft:
    """How a group would run: all that its cost depends on.

    Parameters
    ----------
    group : Group
    strips : rows of the last output that are complete after each step, in each strip of columns
    blocks : the whole group runs once for each block of kernel groups; several only where the group
        is one stage
    columns : and for each block once for each strip of columns
    ahead : there is room to load the next strip beside the one in use
    early : offsets are computed a strip before they are used
    flow, frontier : rows of values, of which per value those complete after each step, from 0
        before the first
    spans : per block, the channel groups of each value that are on chip, as (first, end)
    weights : WeightPlan
    parts : how the sums of a group's only stage are in parts; None: they are not
    images : that run one after another, for each block, with weights that stay from one to the next
    """

    group: Group
    strips: tuple[int, ...]
    blocks: tuple[Block, ...]
    columns: ColumnCut
    ahead: bool
    early: bool
    flow: Flow
    frontier: Frontier
    spans: tuple[Spans, ...]
    weights: WeightPlan
    parts: Parts | None = None
    images: int = 1

    def weight_blocks(self) -> Iterator[tuple[WeightSource, Block]]:
        """Yield what is loaded as weights, by kernel groups."""
        if self.parts is not None:
            for section, pieces in self.parts.sections.items():
                for kg in range(section.kg, section.kg + section.n_kg):
                    yield from ((piece, Block(kg, 1)) for piece in pieces)
            return
        for stage, blocks in zip(self.group.stages, self.weights.blocks, strict=True):
            yield from product(stage.sources, blocks)

    @property
    def steps(self) -> int:
        """Number of strips of rows."""
        return len(self.strips)

    @property
    def runs(self) -> int:
        """How often each stage computes some of each kernel group, at most."""
        return self.steps * len(self.columns.strips) * self.images

    def kept(self, number: int) -> bool:
        """Return whether the weights of a stage stay in the buffer while they are needed."""
        return self.weights.resident[number] or len(self.blocks) > 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan(Draft):
    """How a group runs.

    Parameters
    ----------
    rings : per block, the room of each value on chip, from word 0 of the group's room on
    """

    rings: tuple[dict[str, Ring], ...]


def place(draft: Draft, lowered: LoweredGraph, config: EngineConfig) -> Plan | EngineLimitError:
    """Return a plan, or why there is none: the error names the parameter that must grow."""
    group = draft.group
    chains = chains_of(group)
    if chains is None:
        return EngineLimitError(
            f"{group.stages[0].name}: two concatenations need one value in different places"
        )
    if draft.parts is not None and draft.parts.lane_slots:  # loaded part by part
        return Plan(**vars(draft), rings=({},) * len(draft.blocks))
    known: dict[tuple[tuple[int, int], ...], dict[str, Ring]] = {}
    for spans in draft.spans:  # blocks that read the same channel groups have the same room
        key = tuple(spans.values())
        if key not in known:
            known[key] = place_rings(
                group,
                lowered,
                config,
                draft.flow,
                chains=chains,
                spans=spans,
                columns=draft.columns,
                ahead=draft.ahead,
            )
    rings = tuple(known[tuple(spans.values())] for spans in draft.spans)
    if error := _without_room(group, rings, config) or _off_chip(group, rings[0], config):
        return error
    return Plan(**vars(draft), rings=rings)


def check(group: Group, runs: int) -> EngineLimitError | None:
    """Return why a group cannot run so many times, wherever its values lie, or None."""
    if runs > 1 and group.factors & {stage.output for stage in group.stages}:
        name = group.stages[0].name
        return EngineLimitError(f"{name}: factors are complete only after the last strip")
    return None


def too_many_taps(group: Group, config: EngineConfig) -> EngineLimitError | None:
    """Return the error of kernels whose taps no single command can say, or None."""
    for op in group.ops:
        if op.windows.padding[1] > MOST_BEFORE:
            return EngineLimitError(
                f"{op.name}: windows of a command begin {MOST_BEFORE} columns before the input"
            )
        for section in op.sections:
            if not pass_loops(op, config, section).countable:
                taps = " x ".join(map(str, op.windows.kernel))
                return EngineLimitError(f"{op.name}: a command counts fewer than {taps} taps")
    return None


def _without_room(
    group: Group, rings: tuple[dict[str, Ring], ...], config: EngineConfig
) -> EngineLimitError | None:
    """Return the error of a group whose rows do not fit, or None."""
    most = max(map(room, rings))
    if most <= config.act_depth:
        return None
    op = next((op for op in group.ops if op.windows.positions), group.ops[0])
    why, way_out = op.windows.too_large(most, rings[0], config)
    return EngineLimitError(f"{op.name}: {why}; {at_least(config, 'act_depth', most)}{way_out}")


def _off_chip(
    group: Group, rings: dict[str, Ring], config: EngineConfig
) -> EngineLimitError | None:
    """Return the error of results that the activation buffer cannot take, or None."""
    for op in group.ops:
        if op.output in rings and op.column_step % config.cols == 0:
            return EngineLimitError(
                f"{op.name}: results {op.column_step} pixels apart all go to one lane of an engine "
                f"with {config.cols} columns; cols must not divide it"
            )
    return None
