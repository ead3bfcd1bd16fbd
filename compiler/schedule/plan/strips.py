"""Groups of stages that run strip by strip, with everything between them on chip.

A group is a run of consecutive stages. Its values live in rings of rows: those it computes are read
by later stages of the group straight from the activation buffer, those it reads from memory are
loaded once. In each step every stage computes as many rows as the group's outputs will need next,
so that no row is computed or loaded twice and none is kept longer than its last reader needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from tilewright.compiler.schedule.array.op import EngineLimitError, Stage
from tilewright.compiler.schedule.limits import at_least
from tilewright.compiler.schedule.lowering.dispatch import LoweredGraph
from tilewright.compiler.schedule.objective import COMMAND_CYCLES, kernel_group_cycles
from tilewright.compiler.schedule.plan.group import (
    Block,
    Group,
    block_words,
    out_rows,
    weight_costs,
    widest_words,
    word_bytes,
)
from tilewright.compiler.schedule.plan.rings import Ring, chains_of, frontiers, place_rings, room
from tilewright.isa import EngineConfig

# About the cycles that a reader waits for the results of the command before it.
_FENCE_CYCLES = 30
_MEMORY_CYCLES = 300  # from the last result to the first offsets loaded


@dataclass(frozen=True, eq=False)
class Plan:
    """How a group runs.

    Parameters
    ----------
    group : Group
    strips : rows of the last output that are complete after each step
    blocks : the whole group runs once for each block of kernel groups; several only where the group
        is one stage
    ahead : there is room to load the next strip beside the one in use
    frontier : per value, its complete rows after each step, from 0 before the first
    rings : per block, the room of each value on chip, from word 0 of the group's room on
    resident : per stage, whether its weights stay in the buffer over all steps
    weight_blocks : per stage, the kernel groups whose weights are loaded together
    stream_words : weight words in which weights that are not resident take turns
    cycles : float, estimated
    traffic : int, bytes to and from memory
    """

    group: Group
    strips: tuple[int, ...]
    blocks: tuple[Block, ...]
    ahead: bool
    frontier: dict[str, tuple[int, ...]]
    rings: tuple[dict[str, Ring], ...]
    resident: tuple[bool, ...]
    weight_blocks: tuple[tuple[Block, ...], ...]
    stream_words: int
    cycles: float
    traffic: int

    @property
    def steps(self) -> int:
        """Number of strips."""
        return len(self.strips)


@lru_cache(maxsize=65536)
def _cut_weights(stage: Stage, config: EngineConfig, words: int) -> tuple[Block, ...]:
    """Cut a stage's kernel groups into blocks of at most ``words`` words, or single ones."""
    result: list[Block] = []
    used = 0
    for kg in range(stage.ops[0].n_kg):
        size = block_words(stage, Block(kg, 1), config)
        if result and used + size <= words:
            result[-1] = Block(result[-1].kg, result[-1].n_kg + 1)
            used += size
        else:
            result.append(Block(kg, 1))
            used = size
    return tuple(result)


def plan_group(
    group: Group,
    lowered: LoweredGraph,
    config: EngineConfig,
    *,
    strips: tuple[int, ...],
    blocks: Sequence[Block],
    ahead: bool,
    early: bool,
) -> Plan | EngineLimitError:
    """Return a plan, or why there is none: the error names the parameter that must grow.

    ``early``: offsets are computed a strip before they are used.
    """
    name = group.ops[0].name
    frontier = frontiers(group, lowered, strips, early)
    if len(strips) > 1 and group.gates & {stage.output for stage in group.stages}:
        return EngineLimitError(f"{name}: factors are complete only after the last strip")
    chains = chains_of(group)
    if chains is None:
        return EngineLimitError(f"{name}: two concatenations need one value in different places")
    rings = tuple(
        place_rings(
            group,
            lowered,
            config,
            frontier,
            chains=chains,
            block=block if len(blocks) > 1 else None,
            ahead=ahead,
        )
        for block in blocks
    )
    most = max(map(room, rings))
    if most > config.act_depth:
        return _no_room(group, rings, most, config)

    for op in group.ops:
        if op.output in rings[0] and op.column_step % config.cols == 0:
            return EngineLimitError(
                f"{op.name}: results {op.column_step} pixels apart all go to one lane of an engine "
                f"with {config.cols} columns; cols must not divide it"
            )

    # Weights.
    whole = [Block(0, stage.ops[0].n_kg) for stage in group.stages]
    widest = max(widest_words(stage, config) for stage in group.stages)
    if len(blocks) > 1:
        widest = max(block_words(group.stages[0], block, config) for block in blocks)
    if widest > config.weight_depth:
        return EngineLimitError(
            f"{name}: the weights of {config.rows} output channels take {widest} words; "
            f"{at_least(config, 'weight_depth', widest)}"
        )
    sizes = [
        block_words(stage, block, config) for stage, block in zip(group.stages, whole, strict=True)
    ]
    resident, stream = (False,) * len(sizes), config.weight_depth
    if len(blocks) == 1 and len(strips) > 1:
        resident, stream = _residents(sizes, widest, config)
    if len(blocks) > 1:
        weight_blocks: tuple[tuple[Block, ...], ...] = (tuple(blocks),)
    else:
        weight_blocks = tuple(
            (block,) if kept else _cut_weights(stage, config, stream // 4)
            for stage, block, kept in zip(group.stages, whole, resident, strict=True)
        )
    for stage in group.stages:
        width = stage.output_type.shape[2]
        together = stage.tile_rows * width
        if stage.output in group.stores and together > config.out_depth:
            return EngineLimitError(
                f"{stage.ops[0].name}: an output row has {together} pixels; "
                f"{at_least(config, 'out_depth', together)}"
            )
    cycles, traffic = _cost(
        group,
        lowered,
        config,
        strips,
        rings,
        ahead,
        early,
        frontier,
        resident,
        weight_blocks,
        stream,
    )
    return Plan(
        group=group,
        strips=strips,
        blocks=tuple(blocks),
        ahead=ahead,
        frontier=frontier,
        rings=rings,
        resident=resident,
        weight_blocks=weight_blocks,
        stream_words=stream,
        cycles=cycles,
        traffic=traffic,
    )


def _no_room(
    group: Group, rings: tuple[dict[str, Ring], ...], most: int, config: EngineConfig
) -> EngineLimitError:
    """Return the error of a group whose rows do not fit."""
    op = next((op for op in group.ops if op.deform), group.ops[0])
    what = "samples" if op.planes > 1 else "input rows"
    why, way_out, size = f"the {what} of one output row take", "", ""
    if op.deform:
        low, high = (n / (1 << op.deform.fraction) for n in op.deform.reached)
        rows = max(ring[value].rows for ring in rings for value in op.inputs)
        why = f"offsets of {low:g} to {high:g} pixels need {rows} rows at once, which take"
        size = f" ({most * config.cols * config.rows} bytes)"
        way_out = ". Or bound the offsets: tilewright.nn.QuantOffset(bound=...)"
    return EngineLimitError(
        f"{op.name}: {why} {most} words of each lane{size}; "
        f"{at_least(config, 'act_depth', most)}{way_out}"
    )


def _residents(
    sizes: Sequence[int], widest: int, config: EngineConfig
) -> tuple[tuple[bool, ...], int]:
    """Return which stages' weights stay in the buffer, and the words in which the rest pass."""
    if sum(sizes) <= config.weight_depth:
        return (True,) * len(sizes), 0
    # Keep what is small: every word kept saves as much.
    stream = min(2 * widest, config.weight_depth)
    free = config.weight_depth - stream
    kept = set()
    for index in sorted(range(len(sizes)), key=lambda i: sizes[i]):
        if sizes[index] <= free:
            kept.add(index)
            free -= sizes[index]
    return tuple(index in kept for index in range(len(sizes))), stream + free


def _cost(
    group: Group,
    lowered: LoweredGraph,
    config: EngineConfig,
    strips: tuple[int, ...],
    rings: tuple[dict[str, Ring], ...],
    ahead: bool,
    early: bool,
    frontier: dict[str, tuple[int, ...]],
    resident: tuple[bool, ...],
    weight_blocks: tuple[tuple[Block, ...], ...],
    stream: int,
) -> tuple[float, int]:
    """Estimate cycles: the slowest unit, and what does not overlap with it; and bytes moved."""
    rows, bus, steps = config.rows, config.bus_bytes, len(strips)

    layouts = {v: lowered.layout(v) for v in (*group.loads, *group.stores)}
    loaded = {v: layouts[v].row_bytes * sum(r[v].groups for r in rings) for v in group.loads}
    loads = sum(frontier[v][-1] * size for v, size in loaded.items())
    first = sum(frontier[v][1] * layouts[v].row_bytes * rings[0][v].groups for v in group.loads)
    # Offsets are loaded once per block of weights, at best. Those of the same strip are waited for.
    positions = {v for stage in group.stages for v in stage.positions}
    loads += sum(lowered.layout(v).size_bytes for v in positions)
    waited = 0 if early else len(positions & {stage.output for stage in group.stages})
    stores = sum(layouts[v].size_bytes for v in group.stores)
    n_blocks = len(rings)
    again = [1 if kept or n_blocks > 1 or steps == 1 else steps for kept in resident]
    weights, weight_cycles = 0, 0.0
    for stage, times in zip(group.stages, again, strict=True):
        size, cycles = weight_costs(stage, config)
        weights += size * times
        weight_cycles += cycles * times

    compute = float(waited * steps * _MEMORY_CYCLES)
    for stage, times, blocks in zip(group.stages, again, weight_blocks, strict=True):
        sizes = [block_words(stage, block, config) for block in blocks]
        if times * len(sizes) > 1:
            # What of a block does not fit beside the one in use is loaded while the array waits.
            waited_for = sum(max(0, size - (stream - max(sizes))) for size in sizes)
            compute += times * waited_for * word_bytes(stage.ops[0], config) / bus
    overhead = kernel_group_cycles(config)
    for stage, cuts in zip(group.stages, weight_blocks, strict=True):
        made = frontier[stage.output]
        strip = max(b - a for a, b in pairwise(made))
        for op in stage.ops:
            _, out_height = op.own_rows(0, made[-1])
            words = -(-op.columns // config.cols)
            busy = sum(s.n_kg * op.pass_cycles(config, s) for s in op.sections)
            compute += out_height * words * busy
            chunks, commands = steps, steps * max(len(cuts), len(op.sections))
            if op.output in group.stores or op.term is not None:
                tile_rows, tile_kg = out_rows(op, config, strip, op.n_kg)
                chunks *= -(-strip // tile_rows)
                per_cut = -(-op.n_kg // len(cuts))
                commands *= -(-strip // tile_rows) * -(-per_cut // tile_kg)
            if op.deform and op.output not in group.stores:
                tiles = -(-strip // op.deform.rows_at_once(config, strip))
                chunks, commands = chunks * tiles, commands * tiles
            fence = 0
            waits = any(v not in group.loads for v in op.inputs)
            if op.deform or (op is stage.ops[0] and waits):
                fence = _FENCE_CYCLES
            compute += op.n_kg * chunks * overhead + commands * (COMMAND_CYCLES + fence)
    load = loads / bus + weight_cycles
    slowest = max(compute, load, stores / bus)
    if not ahead and steps > 1:
        slowest = max(compute + loads / bus, load)
    # Nothing overlaps with the store of the last results.
    share = 1 - strips[-2] / strips[-1] if steps > 1 else 1
    last = min(stores * share, config.out_depth // 2 * rows)
    return slowest + (first + last) / bus, loads + weights + stores
