"""Groups of stages that run strip by strip, with everything between them on chip.

A group is a run of consecutive stages. Its values live in rings of rows: those it computes are read
by later stages of the group straight from the activation buffer, those it reads from memory are
loaded once. In each step every stage computes as many rows as the group's outputs will need next,
so that no row is computed or loaded twice and none is kept longer than its last reader needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise

from tilewright.compiler.isa import EngineConfig
from tilewright.compiler.isa.layout import align
from tilewright.compiler.schedule.array_op import ArrayOp, EngineLimitError, Stage
from tilewright.compiler.schedule.lower import LoweredGraph

# Cycles that a command costs beside its passes, and that a reader waits for the results of the
# command before it; only to weigh plans against each other, the exact figures are the cycle
# model's.
_COMMAND_CYCLES = 20
_FENCE_CYCLES = 30


@dataclass(frozen=True)
class Block:
    """Kernel groups ``kg .. kg + n_kg - 1``."""

    kg: int
    n_kg: int


@dataclass(frozen=True)
class Ring:
    """A value in the activation buffer: for each channel group a ring of rows.

    ``base``: lane word of channel group ``first``; ``row``: lane words of a row.
    """

    base: int
    first: int
    groups: int
    rows: int
    row: int

    @property
    def words(self) -> int:
        """Lane words of one channel group."""
        return self.rows * self.row

    @property
    def size(self) -> int:
        """Lane words of all channel groups."""
        return self.groups * self.words

    def offset(self, y: int) -> int:
        """Return where row y begins in its ring."""
        return y % self.rows * self.row


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
    def gates(self) -> frozenset[str]:
        """Values that are loaded as weights."""
        return frozenset(op.gate for op in self.ops if op.gate is not None)

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
    later |= {op.gate for stage in lowered.stages[first:] for op in stage.ops if op.gate}
    return Group(
        first,
        stages,
        tuple(value for value in read if value not in inside),
        frozenset(inside & later),
    )


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


def frontiers(
    group: Group, lowered: LoweredGraph, strips: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """Return, per value, its rows complete after each step."""
    steps = len(strips)
    result: dict[str, tuple[int, ...]] = {}
    values = [stage.output for stage in group.stages]
    for value in (*reversed(values), *group.loads):
        height = lowered.values[value].shape[1]
        readers = group.consumers.get(value, ())
        rows = [0]
        for step in range(1, steps + 1):
            needed = 0 if readers else -(-height * strips[step - 1] // strips[-1])
            for stage in readers:
                done, due = result[stage.output][step - 1 : step + 1]
                if due > done:
                    needed = max(needed, stage.input_rows(done, due)[1])
            if step == steps and value in group.stores:
                needed = height
            rows.append(max(rows[-1], needed))
        result[value] = tuple(rows)
    return result


def _kept_rows(
    group: Group, frontier: dict[str, tuple[int, ...]], value: str, readers: Sequence[Stage]
) -> Iterator[tuple[int, int]]:
    """Yield, per step, the first row that a reader needs in the step, and after it."""
    rows = frontier[value]
    for step in range(1, len(rows)):
        needed = [rows[step], rows[step]]
        for stage in readers:
            height = stage.output_type.shape[1]
            for later in (0, 1):
                done = frontier[stage.output][step - 1 + later]
                if done < frontier[stage.output][-1]:
                    needed[later] = min(needed[later], stage.input_rows(done, height)[0])
        yield needed[0], needed[1]


def place_rings(
    group: Group,
    lowered: LoweredGraph,
    config: EngineConfig,
    frontier: dict[str, tuple[int, ...]],
    *,
    chains: tuple[tuple[str, ...], ...],
    block: Block | None,
    ahead: bool,
) -> dict[str, Ring]:
    """Return where each value on chip lies, from word 0 on.

    The values of a chain lie one behind the other.

    A value of which nothing is kept from step to step shares its room with those that live before
    and after it in a step. ``block``: place only the channel groups that it reads.
    """
    rows: dict[str, int] = {}
    lives: dict[str, tuple[int, int]] = {}
    end = len(group.stages)
    for value, readers in group.consumers.items():
        made, loaded = frontier[value], value in group.loads
        kept = list(_kept_rows(group, frontier, value, readers))
        rows[value] = 1
        for step, (first, _) in enumerate(kept, 1):
            last = made[min(step + 1, len(made) - 1)] if ahead and loaded else made[step]
            rows[value] = max(rows[value], last - first)
        numbers = [group.stages.index(stage) for stage in readers]
        lives[value] = (0, end)
        if all(later == made[step] for step, (_, later) in enumerate(kept, 1)):
            if not loaded:
                producer = next(i for i, s in enumerate(group.stages) if s.output == value)
                lives[value] = (producer, max(numbers) + 1)
            elif len(kept) == 1:
                lives[value] = (0, max(numbers) + 1)
    # What a stage reads is addressed alike, so its rows take turns alike.
    together = [stage.inputs for stage in group.stages if len(stage.inputs) > 1]
    for _ in together:
        for values in together:
            rows |= dict.fromkeys(values, max(rows[value] for value in values))

    spans = _read_groups(group, lowered, config, block)
    sizes: dict[str, Ring] = {}
    for value, count in rows.items():
        first, last = spans[value]
        sizes[value] = Ring(0, first, last - first, count, row_words(lowered, value, config))
    hulls = {
        chain: (min(lives[v][0] for v in chain), max(lives[v][1] for v in chain))
        for chain in chains
    }
    words = {chain: sum(sizes[v].size for v in chain) for chain in chains}
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
            result[value] = replace(sizes[value], base=base)
            base += sizes[value].size
    return result


def _chains(group: Group) -> tuple[tuple[str, ...], ...] | None:
    """Return which values must lie one behind the other; None if readers contradict each other."""
    after: dict[str, str] = {}
    before: dict[str, str] = {}
    for stage in group.stages:
        for operand in stage.operands:
            for a, b in pairwise(operand.parts):
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


def _read_groups(
    group: Group, lowered: LoweredGraph, config: EngineConfig, block: Block | None
) -> dict[str, tuple[int, int]]:
    """Return the channel groups of each value that are on chip, as (first, end).

    What the group computes is there whole; of what it loads, what its stages read, or what the
    given block does.
    """
    sizes = {v: len(lowered.orders[v]) // config.rows for v in group.consumers}
    spans: dict[str, tuple[int, int]] = {
        v: (0, size) for v, size in sizes.items() if v not in group.loads
    }
    for stage in group.stages:
        read = _stage_span(stage, block or Block(0, stage.ops[0].n_kg), config)
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


@lru_cache(maxsize=65536)
def _stage_span(stage: Stage, block: Block, config: EngineConfig) -> tuple[int, int]:
    spans = [channel_groups(op, block, config) for op in stage.ops]
    return min(first for first, _ in spans), max(end for _, end in spans)


def room(rings: dict[str, Ring]) -> int:
    """Return the lane words that rings take together."""
    return max((ring.base + ring.size for ring in rings.values()), default=0)


def kernel_words(op: ArrayOp, kg: int, config: EngineConfig) -> int:
    """Return the weight words of a kernel group, its parameters included."""
    return config.param_words + op.section_of[kg].steps


@lru_cache(maxsize=65536)
def block_words(stage: Stage, block: Block, config: EngineConfig) -> int:
    """Return the weight words of a block, of all operations of a stage, as they are loaded."""
    kernel_groups = range(block.kg, block.kg + block.n_kg)
    return sum(
        align(sum(kernel_words(op, kg, config) for kg in kernel_groups), config.weights_per_byte)
        for op in stage.ops
    )


@lru_cache(maxsize=65536)
def _widest(stage: Stage, config: EngineConfig) -> int:
    """Return the weight words of the largest kernel group of a stage."""
    return max(block_words(stage, Block(kg, 1), config) for kg in range(stage.ops[0].n_kg))


def channel_groups(op: ArrayOp, block: Block, config: EngineConfig) -> tuple[int, int]:
    """Return the channel groups of its operands that a block reads, as (first, end)."""
    spans = []
    for section in op.sections:
        first = max(section.kg, block.kg)
        last = min(section.kg + section.n_kg, block.kg + block.n_kg) - 1
        if last < first:
            continue
        if op.per_group:
            spans.append((section.cg + first - section.kg, section.cg + last - section.kg + 1))
        else:
            groups = -(-section.channels // config.rows)
            spans.append((section.cg, section.cg + groups))
    return min(first for first, _ in spans), max(end for _, end in spans)


def row_words(lowered: LoweredGraph, value: str, config: EngineConfig) -> int:
    """Return the lane words of one row of one channel group."""
    return -(-lowered.values[value].shape[2] // config.cols)


def out_rows(op: ArrayOp, config: EngineConfig, rows: int, n_kg: int) -> tuple[int, int]:
    """Return how many output rows and kernel groups go through the output buffer at a time."""
    width = op.output_type.shape[2]
    half = max(config.out_depth // 2, width)
    tile_rows = max(1, min(rows, half // width))
    return tile_rows, max(1, min(n_kg, half // (tile_rows * width)))


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
) -> Plan | EngineLimitError:
    """Return a plan, or why there is none: the error names the parameter that must grow."""
    name = group.ops[0].name
    frontier = frontiers(group, lowered, strips)
    if len(strips) > 1 and group.gates & {stage.output for stage in group.stages}:
        return EngineLimitError(f"{name}: factors are complete only after the last strip")
    chains = _chains(group)
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
        return EngineLimitError(
            f"{name}: the input rows of one output row take {most} words of each lane; the "
            f"engine's act_depth must be at least that, not {config.act_depth}"
        )

    for op in group.ops:
        if op.output in rings[0] and op.column_step % config.cols == 0:
            return EngineLimitError(
                f"{op.name}: results {op.column_step} pixels apart all go to one lane of an engine "
                f"with {config.cols} columns; cols must not divide it"
            )

    # Weights.
    whole = [Block(0, stage.ops[0].n_kg) for stage in group.stages]
    widest = max(_widest(stage, config) for stage in group.stages)
    if len(blocks) > 1:
        widest = max(block_words(group.stages[0], block, config) for block in blocks)
    if widest > config.weight_depth:
        return EngineLimitError(
            f"{name}: the weights of {config.rows} output channels take {widest} words; the "
            f"engine's weight_depth must be at least that, not {config.weight_depth}"
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
        if stage.output in group.stores and width > config.out_depth:
            return EngineLimitError(
                f"{stage.ops[0].name}: an output row has {width} pixels; the engine's out_depth "
                f"must be at least that, not {config.out_depth}"
            )
    cycles, traffic = _cost(
        group, lowered, config, strips, rings, ahead, frontier, resident, sizes, weight_blocks
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
    frontier: dict[str, tuple[int, ...]],
    resident: tuple[bool, ...],
    sizes: list[int],
    weight_blocks: tuple[tuple[Block, ...], ...],
) -> tuple[float, int]:
    """Estimate cycles: the slowest unit, and what does not overlap with it; and bytes moved."""
    rows, bus, steps = config.rows, config.bus_bytes, len(strips)

    layouts = {v: lowered.layout(v) for v in (*group.loads, *group.stores)}
    loaded = {v: layouts[v].row_bytes * sum(r[v].groups for r in rings) for v in group.loads}
    loads = sum(frontier[v][-1] * size for v, size in loaded.items())
    first = sum(frontier[v][1] * layouts[v].row_bytes * rings[0][v].groups for v in group.loads)
    stores = sum(layouts[v].size_bytes for v in group.stores)
    n_blocks = len(rings)
    again = [1 if kept or n_blocks > 1 or steps == 1 else steps for kept in resident]
    weights = sum(size * times for size, times in zip(sizes, again, strict=True)) * rows

    compute = 0.0
    overhead = 2 + config.param_words + config.parameter_pause
    for stage, cuts in zip(group.stages, weight_blocks, strict=True):
        made = frontier[stage.output]
        strip = max(b - a for a, b in pairwise(made))
        for op in stage.ops:
            _, out_height = op.own_rows(0, made[-1])
            words = -(-op.columns // config.cols)
            busy = sum(s.n_kg * op.pass_cycles(config, s) for s in op.sections)
            compute += out_height * words * busy
            chunks, commands = steps, steps * max(len(cuts), len(op.sections))
            if op.output in group.stores:
                tile_rows, tile_kg = out_rows(op, config, strip, op.n_kg)
                chunks *= -(-strip // tile_rows)
                per_cut = -(-op.n_kg // len(cuts))
                commands *= -(-strip // tile_rows) * -(-per_cut // tile_kg)
            fence = _FENCE_CYCLES if any(v not in group.loads for v in op.inputs) else 0
            compute += op.n_kg * chunks * overhead + commands * (_COMMAND_CYCLES + fence)
    load = (loads + weights) / bus
    slowest = max(compute, load, stores / bus)
    if not ahead and steps > 1:
        slowest = max(compute + loads / bus, load)
    # Nothing overlaps with the store of the last results.
    share = 1 - strips[-2] / strips[-1] if steps > 1 else 1
    last = min(stores * share, config.out_depth // 2 * rows)
    return slowest + (first + last) / bus, loads + weights + stores
