"""Where the values of a group lie on chip: rings of rows, which share room where they can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.plan.columns import ColumnCut
from tilewright.compiler.schedule.plan.flow import Flow
from tilewright.compiler.schedule.plan.group import Group
from tilewright.isa import EngineConfig
from tilewright.isa.layout import align

Spans: TypeAlias = dict[str, tuple[int, int]]
"""Per value, its channel groups that are on chip, as (first, end)."""


def place_rings(
    group: Group,
    lowered: LoweredGraph,
    config: EngineConfig,
    flow: Flow,
    *,
    chains: tuple[tuple[str, ...], ...],
    spans: Spans,
    columns: ColumnCut,
    ahead: bool,
) -> dict[str, Ring]:
    """Return where each value on chip lies, from word 0 on.

    The values of a chain lie one behind the other.

    A value of which nothing is kept from step to step shares its room with those that live before
    and after it in a step. ``spans``: the channel groups of each value that are
    placed; ``columns``: rows hold those of the widest strip.
    """
    frontier = flow.frontier(group)
    rows: dict[str, int] = {}
    lives: dict[str, tuple[int, int]] = {}
    numbers = {stage: number for number, stage in enumerate(group.stages)}
    makers = {stage.output: number for stage, number in numbers.items()}
    for value, readers in group.consumers.items():
        kept, loaded = flow.kept(group, value, frontier), value in group.loads
        rows[value] = kept.ahead if ahead and loaded else kept.rows
        lives[value] = (0, len(group.stages))
        if kept.used_up:
            last = max(numbers[stage] for stage in readers) + 1
            if not loaded:
                lives[value] = (makers[value], last)
            elif len(frontier[value]) == 2:
                lives[value] = (0, last)
    # What a stage reads is addressed alike, so its rows take turns alike.
    together = [stage.inputs for stage in group.stages if len(stage.inputs) > 1]
    pitches = {value: -(-columns.widest[value] // config.cols) for value in rows}
    before: tuple[dict[str, int], ...] = ()
    while before != (rows, pitches):
        before = dict(rows), dict(pitches)
        for value in rows:  # tiles do not go round the end of a ring
            rows[value] = align(rows[value], group.tile_rows.get(value, 1))
        for values in together:
            for sizes in (rows, pitches):
                sizes |= dict.fromkeys(values, max(sizes[value] for value in values))
    for value in paired_values(group):
        # Neighbouring rows lie at words that are not both even or both odd.
        rows[value] += rows[value] % 2
        pitches[value] += 1 - pitches[value] % 2

    rings = {
        value: Ring(0, first, last - first, rows[value], pitches[value])
        for value, (first, last) in spans.items()
    }
    hulls = {
        chain: (min(lives[v][0] for v in chain), max(lives[v][1] for v in chain))
        for chain in chains
    }
    words = {chain: sum(rings[v].size for v in chain) for chain in chains}
    placed: dict[tuple[str, ...], int] = {}
    result: dict[str, Ring] = {}
    # The largest first, each at the lowest place that is free for all of its life.
    for chain in sorted(chains, key=lambda c: (hulls[c][0] - hulls[c][1], -words[c])):
        begin, stop = hulls[chain]
        base = 0
        rivals = [c for c in placed if hulls[c][0] < stop and begin < hulls[c][1]]
        for rival in sorted(rivals, key=lambda c: placed[c]):
            if base + words[chain] <= placed[rival]:
                break
            base = max(base, placed[rival] + words[rival])
        placed[chain] = base
        for value in chain:
            ring = rings[value]
            result[value] = Ring(base, ring.first, ring.groups, ring.rows, ring.row)
            base += ring.size
    return result


def paired_values(group: Group) -> set[str]:
    """Return the values of which two rows are read at once, and those read beside one of them."""
    result = {
        value
        for stage in group.stages
        if any(op.windows.pairs_of_rows for op in stage.ops)
        for value in stage.inputs
    }
    size = 0
    while len(result) > size:
        size = len(result)
        for stage in group.stages:
            if result & set(stage.inputs):
                result |= set(stage.inputs)
    return result


def chains_of(group: Group) -> tuple[tuple[str, ...], ...] | None:
    """Return which values must lie one behind the other; None if readers contradict each other."""
    after: dict[str, str] = {}
    before: dict[str, str] = {}
    for stage in group.stages:
        for a, b in stage.neighbours:
            if after.setdefault(a, b) != b or before.setdefault(b, a) != a:
                return None
    chains = []
    for value in group.consumers:
        if value not in before:
            chain = [value]
            while chain[-1] in after:
                chain.append(after[chain[-1]])
            chains.append(tuple(chain))
    return tuple(chains) if sum(map(len, chains)) == len(group.consumers) else None


def read_groups(
    group: Group, lowered: LoweredGraph, config: EngineConfig, block: Block | None
) -> Spans:
    """Return the channel groups of each value that are on chip, as (first, end).

    What the group computes is there whole; of what it loads, what its stages read, or what the
    given block does.
    """
    sizes = {v: len(lowered.orders[v]) // config.rows for v in group.consumers}
    spans: Spans = {v: (0, size) for v, size in sizes.items() if v not in group.loads}
    for stage in group.stages:
        read = stage.channel_groups(config, block or Block(0, stage.n_kg))
        for operand in stage.operands:
            first, end = (n + operand.first for n in read)
            for part in operand.parts:
                low, high = min(max(first, 0), sizes[part]), min(max(end, 0), sizes[part])
                if low < high:
                    known = spans.get(part, (low, high))
                    spans[part] = min(low, known[0]), max(high, known[1])
                else:
                    spans.setdefault(part, (low, low))
                first, end = first - sizes[part], end - sizes[part]
    return spans


def room(rings: Mapping[str, Ring]) -> int:
    """Return the lane words that rings take together."""
    return max((ring.base + ring.size for ring in rings.values()), default=0)
