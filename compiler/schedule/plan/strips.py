"""Groups of stages that run strip by strip, with everything between them on chip.

A group is a run of consecutive stages. Its values live in rings of rows: those it computes are read
by later stages of the group straight from the activation buffer, those it reads from memory are
loaded once. In each step every stage computes as many rows as the group's outputs will need next,
so that no row is computed or loaded twice and none is kept longer than its last reader needs it.

Where even single rows do not fit, all of that happens for one strip of columns after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from tilewright.compiler.schedule.array.parts import pass_loops
from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.array.weights import WeightSource
from tilewright.compiler.schedule.limits import EngineLimitError, at_least
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.plan.columns import ColumnCut
from tilewright.compiler.schedule.plan.group import Group
from tilewright.compiler.schedule.plan.parts import Parts
from tilewright.compiler.schedule.plan.rings import chains_of, place_rings, room
from tilewright.compiler.schedule.plan.weights import WeightPlan, plan_weights
from tilewright.isa import EngineConfig


@dataclass(frozen=True, eq=False)
class Plan:
    """How a group runs.

    Parameters
    ----------
    group : Group
    strips : rows of the last output that are complete after each step, in each strip of columns
    blocks : the whole group runs once for each block of kernel groups; several only where the group
        is one stage
    columns : and for each block once for each strip of columns
    ahead : there is room to load the next strip beside the one in use
    early : offsets are computed a strip before they are used
    frontier : per value, its complete rows after each step, from 0 before the first
    rings : per block, the room of each value on chip, from word 0 of the group's room on
    weights : WeightPlan
    parts : how the sums of a group's only stage are in parts; None: they are not
    """

    group: Group
    strips: tuple[int, ...]
    blocks: tuple[Block, ...]
    columns: ColumnCut
    ahead: bool
    early: bool
    frontier: dict[str, tuple[int, ...]]
    rings: tuple[dict[str, Ring], ...]
    weights: WeightPlan
    parts: Parts | None = None

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
        return self.steps * len(self.columns.strips)

    def apart(self, config: EngineConfig) -> bool:
        """Return whether there is room for two strips of columns side by side."""
        return 2 * max(map(room, self.rings)) <= config.act_depth

    def kept(self, number: int) -> bool:
        """Return whether the weights of a stage stay in the buffer while they are needed."""
        return self.weights.resident[number] or len(self.blocks) > 1


def plan_group(
    group: Group,
    lowered: LoweredGraph,
    config: EngineConfig,
    *,
    strips: tuple[int, ...],
    blocks: Sequence[Block],
    columns: ColumnCut,
    ahead: bool,
    early: bool,
    frontier: dict[str, tuple[int, ...]],
    parts: Parts | None = None,
) -> Plan | EngineLimitError:
    """Return a plan, or why there is none: the error names the parameter that must grow.

    ``frontier`` : :func:`frontiers` of these strips; all others as in Plan.
    """
    name = group.stages[0].name
    runs = len(strips) * len(columns.strips)
    if runs > 1 and group.factors & {stage.output for stage in group.stages}:
        return EngineLimitError(f"{name}: factors are complete only after the last strip")
    chains = chains_of(group)
    if chains is None:
        return EngineLimitError(f"{name}: two concatenations need one value in different places")
    streamed = parts is not None and parts.lane_slots > 0
    rings = tuple(
        {}
        if streamed
        else place_rings(
            group,
            lowered,
            config,
            frontier,
            chains=chains,
            block=block if len(blocks) > 1 else None,
            columns=columns,
            ahead=ahead,
        )
        for block in blocks
    )
    if error := _without_room(group, rings, config) or _off_chip(group, rings[0], config):
        return error
    if parts is None:
        if error := _too_many_taps(group, config):
            return error
        weights = plan_weights(group, config, blocks, runs)
    else:
        weights = WeightPlan((False,), (tuple(blocks),), 0)
    if isinstance(weights, EngineLimitError):
        return weights
    return Plan(
        group=group,
        strips=strips,
        blocks=tuple(blocks),
        columns=columns,
        ahead=ahead,
        early=early,
        frontier=frontier,
        rings=rings,
        weights=weights,
        parts=parts,
    )


def _too_many_taps(group: Group, config: EngineConfig) -> EngineLimitError | None:
    """Return the error of kernels whose taps a command's loops cannot count, or None."""
    for op in group.ops:
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
