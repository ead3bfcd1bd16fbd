"""What a plan costs: commands to the cycle, of which the slowest unit's count, and bytes moved.

How long a command takes is exact, and so is how many there are of which size. How units overlap
beyond the first and the last strip is not looked at: the few plans that cost least are compared as
whole programs, in which it is (:mod:`tilewright.compiler.codegen.assemble`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tilewright.compiler.schedule.array.area import Area, runs
from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.array.work import Chunk, evenly
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.plan.parts import Parts
from tilewright.compiler.schedule.plan.parts_cost import parts_cost
from tilewright.compiler.schedule.plan.strips import Draft
from tilewright.compiler.schedule.timing import Timing


@dataclass(frozen=True)
class Cost:
    """Cycles, estimated, and bytes to and from memory."""

    cycles: float
    traffic: int

    def weighed(self, per_byte: float) -> float:
        """Return one number, with a byte as so many cycles."""
        return self.cycles + per_byte * self.traffic


@dataclass(frozen=True)
class _Moved:
    """Bytes and cycles of loads or stores, and the cycles of those with which nothing overlaps."""

    size: int
    cycles: int
    alone: int


class Estimate:
    """The cost of plans of one network on one engine.

    Parameters
    ----------
    lowered : LoweredGraph
    timing : Timing, of the engine with its memory
    """

    def __init__(self, lowered: LoweredGraph, timing: Timing) -> None:
        self._lowered = lowered
        self._config = lowered.config
        self._timing = timing
        self._weights: dict[tuple[Stage, Block], int] = {}
        self._loaded: dict[tuple[str, int, Area], int] = {}
        self._places: dict[tuple[Stage, str, Area], tuple[int, int]] = {}
        self._stored: dict[tuple[Stage, tuple[Block, ...], Area], tuple[int, int]] = {}
        self._work: dict[tuple[Stage, Area], int] = {}
        self._around: dict[tuple[Stage, tuple[Block, ...], Area, bool, bool], int] = {}

    def __call__(self, plan: Draft) -> Cost:
        """Return what a plan costs."""
        if plan.parts is not None:
            return self._in_parts(plan, plan.parts)
        loads, stores = self._loads(plan), self._results(plan)
        times = _times(plan)
        weights = weight_cycles = 0
        for number, stage in enumerate(plan.group.stages):
            weights += stage.weight_bytes(self._config) * times[number]
            blocks = plan.weights.blocks[number]
            weight_cycles += sum(self._load_cycles(stage, b) for b in blocks) * times[number]
        compute = self._waits(plan, times)
        for number in range(len(plan.group.stages)):
            compute += self._stage_cycles(plan, number)
        load = loads.cycles + weight_cycles
        slowest = max(compute, load, stores.cycles)
        if not plan.ahead and plan.steps > 1:
            slowest = max(compute + loads.cycles, load)
        elif len(plan.columns.strips) > 1:
            # As if there were no room for the first rows of the next strip of columns.
            slowest = max(compute + loads.alone * (len(plan.columns.strips) - 1), load)
        traffic = loads.size + weights + stores.size
        return Cost(slowest + loads.alone + stores.alone, traffic)

    def _in_parts(self, plan: Draft, parts: Parts) -> Cost:
        """Return what a plan of one stage costs whose sums are in parts."""
        (stage,), config, lowered = plan.group.stages, self._config, self._lowered
        bus = config.bus_bytes
        again = 1 if len(plan.blocks) > 1 else plan.steps
        gap = self._timing.gaps.command
        cycles, traffic = parts_cost(stage, parts, config, plan.columns, gap, again)
        stores = sum(lowered.layout(v).size_bytes for v in plan.group.stores)
        loads = 0
        if not parts.lane_slots:
            once = sum(lowered.layout(v).size_bytes for v in plan.group.loads)
            loads = once * len(plan.blocks)
            cycles += (once / plan.steps if plan.ahead else loads) / bus
        last = min(stores, config.out_depth // 2 * config.rows)
        slowest = max(cycles, (traffic + loads) / bus, stores / bus)
        return Cost(slowest + last / bus, traffic + loads + stores)

    def _load_cycles(self, stage: Stage, block: Block) -> int:
        """Return the cycles in which a block of weights is loaded."""
        known = self._weights.get((stage, block))
        if known is None:
            config, timing = self._config, self._timing
            known = sum(
                load.cycles(config, timing)
                for source in stage.sources
                for load in source.loads(config, block)
            )
            self._weights[stage, block] = known
        return known

    def _loads(self, plan: Draft) -> _Moved:
        """Return what is loaded of values; before the first strip, nothing else runs."""
        group = plan.group
        size = cycles = alone = 0
        for value in group.loads:
            layout, made = self._lowered.layout(value), plan.frontier[value]
            heights = Counter(b - a for a, b in pairwise(made) if b > a)
            for at, strip in enumerate(plan.columns.strips):
                left, right = strip.columns[value]
                row = layout.columns_bytes(left, right)
                for number, spans in enumerate(plan.spans):
                    groups = Block(0, spans[value][1] - spans[value][0])
                    if not groups.n_kg or left == right:
                        continue
                    size += made[-1] * row * groups.n_kg
                    for height, count in heights.items():
                        area = Area(0, height, left, right)
                        cycles += self._rows(value, groups, area) * count
                    if number == 0 and at == 0 and made[1]:
                        alone += self._rows(value, groups, Area(0, made[1], left, right))
        for stage in group.stages:
            for value in stage.positions:
                size += self._lowered.layout(value).size_bytes
                for area, count in _areas(plan, stage).items():
                    cycles += self._positions(stage, value, area)[0] * count
        return _Moved(size, cycles, alone)

    def _rows(self, value: str, groups: Block, area: Area) -> int:
        """Return the cycles in which some of a value is loaded."""
        area = Area(0, area.rows, 0, area.width)
        key = (value, groups.n_kg, area)
        known = self._loaded.get(key)
        if known is None:
            layout = self._lowered.layout(value)
            pixel = layout.pixel.bit_length()
            known = self._loaded[key] = sum(
                self._timing.rows(run.count, run.stride, run.rows, area.width, pixel)
                for run in runs(layout, groups, area)
            )
        return known

    def _positions(self, stage: Stage, value: str, area: Area) -> tuple[int, int]:
        """Return the cycles of all loads of offsets or masks for an area, and of the first of them.

        They are loaded once per block of weights, at best.
        """
        key = (stage, value, area)
        known = self._places.get(key)
        if known is None:
            layout, op = self._lowered.layout(value), stage.ops[0]
            whole = Chunk(area.rows, stage.n_kg, area.width)
            most = op.chunk(self._config, whole, stored=True)
            cycles = first = 0
            for left in range(area.left, area.right, most.columns):
                right = min(left + most.columns, area.right)
                row = layout.columns_bytes(left, right) // self._config.rows
                for height, count in _parts(area.rows, most.rows, op.reduction.tile_rows):
                    if right - left == layout.width:
                        each = layout.groups * self._timing.words(height * row)
                    else:
                        each = layout.groups * height * self._timing.words(row)
                    cycles, first = cycles + each * count, first or each
            known = self._places[key] = cycles, first
        return known

    def _results(self, plan: Draft) -> _Moved:
        """Return what is stored; with the store of the last results, nothing overlaps."""
        size = cycles = alone = 0
        for number, stage in enumerate(plan.group.stages):
            if stage.output not in plan.group.stores:
                continue
            size += self._lowered.layout(stage.output).size_bytes
            blocks, last = plan.weights.blocks[number], 0
            for area, count in _areas(plan, stage).items():
                each, last = self._stores(stage, blocks, area)
                cycles += each * count
            alone = max(alone, last)
        return _Moved(size, cycles, alone)

    def _stores(self, stage: Stage, blocks: tuple[Block, ...], area: Area) -> tuple[int, int]:
        """Return the cycles of all stores of an area, and of the last of them."""
        key = (stage, blocks, area)
        known = self._stored.get(key)
        if known is None:
            op, layout = stage.ops[0], self._lowered.layout(stage.output)
            cycles = last = 0
            for block in blocks:
                whole = Chunk(area.rows, block.n_kg, area.width)
                most = op.chunk(self._config, whole, stored=True)
                for left in range(area.left, area.right, most.columns):
                    right = min(left + most.columns, area.right)
                    for groups, times in _parts(block.n_kg, most.n_kg):
                        for height, count in _parts(area.rows, most.rows, op.reduction.tile_rows):
                            part = Area(0, height, left, right)
                            last = sum(
                                self._timing.results(run.count, run.stride, run.rows, part.width)
                                for run in runs(layout, Block(0, groups), part, in_order=True)
                            )
                            cycles += last * times * count
            known = self._stored[key] = cycles, last
        return known

    def _waits(self, plan: Draft, times: list[int]) -> int:
        """Return the cycles in which the array waits for offsets of the same strip, and weights."""
        group, weights, config = plan.group, plan.weights, self._config
        cycles = 0
        if not plan.early:
            made = {stage.output: stage for stage in group.stages}
            for stage in group.stages:
                for value in stage.positions:
                    if value in made:
                        cycles += self._by_memory(plan, made[value], stage)
        for number, stage in enumerate(group.stages):
            blocks = weights.blocks[number]
            if times[number] * len(blocks) > 1:
                sizes = [stage.block_words(config, block) for block in blocks]
                # What of a block does not fit beside the one in use is loaded while the array
                # waits.
                widest = max(sizes)
                for block, size in zip(blocks, sizes, strict=True):
                    over = size - (weights.stream_words - widest)
                    if over > 0:
                        share = self._load_cycles(stage, block) * over // size
                        cycles += times[number] * share
        return cycles

    def _by_memory(self, plan: Draft, maker: Stage, reader: Stage) -> int:
        """Return the cycles from a strip's last results to the start of what reads them there."""
        gaps = self._timing.gaps
        cycles = 0
        for area, count in _areas(plan, reader).items():
            _, store = self._stores(maker, (Block(0, maker.n_kg),), area)
            _, load = self._positions(reader, maker.output, area)
            cycles += count * (gaps.store + store + load + 2 * gaps.arrival)
        return cycles

    def _stage_cycles(self, plan: Draft, number: int) -> int:
        """Return the cycles in which the array works for a stage."""
        stage, cuts = plan.group.stages[number], plan.weights.blocks[number]
        stored = stage.output in plan.group.stores
        inside = any(value not in plan.group.loads for value in stage.inputs)
        rows = plan.frontier[stage.output][-1]
        cycles = sum(
            self._passes(stage, Area(0, rows, *strip.columns[stage.output]))
            for strip in plan.columns.strips
        )
        for area, count in _areas(plan, stage).items():
            key = (stage, cuts, area, stored, inside)
            known = self._around.get(key)
            if known is None:
                known = self._beside_passes(stage, cuts, area, stored=stored, inside=inside)
                self._around[key] = known
            cycles += known * count
        return cycles

    def _passes(self, stage: Stage, area: Area) -> int:
        """Return the cycles of all passes of a stage in an area."""
        known = self._work.get((stage, area))
        if known is None:
            known, config = 0, self._config
            for op in stage.ops:
                first, end = op.result.own_rows(area.start, area.stop)
                words = (end - first) * op.result.words(config, area.left, area.right)
                known += words * sum(s.n_kg * op.pass_cycles(config, s) for s in op.sections)
            self._work[stage, area] = known
        return known

    def _beside_passes(
        self, stage: Stage, cuts: tuple[Block, ...], area: Area, *, stored: bool, inside: bool
    ) -> int:
        """Return the cycles of an area of a stage beside its passes.

        ``inside`` : it reads what the stage before has made.
        """
        config, gaps = self._config, self._timing.gaps
        cycles = 0
        for op in stage.ops:
            commands = leads = 0
            for cut in cuts:
                whole = Chunk(area.rows, cut.n_kg, area.width)
                most = op.chunk(config, whole, stored=stored)
                chunks = -(-area.rows // most.rows) * -(-area.width // most.columns)
                commands += chunks * -(-cut.n_kg // most.n_kg)
                leads += chunks * cut.n_kg
            commands = max(commands, len(op.sections))
            fenced = commands if op.windows.waits else int(inside and op is stage.ops[0])
            cycles += leads * op.lead_cycles(config)
            cycles += commands * gaps.command + fenced * (gaps.fence - gaps.command)
        return cycles


def _areas(plan: Draft, stage: Stage) -> Counter[Area]:
    """Return the strips of a stage's output, of rows and of columns, and how many are alike."""
    rows = Counter(b - a for a, b in pairwise(plan.frontier[stage.output]) if b > a)
    return Counter(
        {
            Area(0, height, *columns): count
            for columns in (strip.columns[stage.output] for strip in plan.columns.strips)
            if columns[0] < columns[1]
            for height, count in rows.items()
        }
    )


def _parts(total: int, most: int, unit: int = 1) -> Iterator[tuple[int, int]]:
    """Yield the sizes of parts of at most ``most``, and how many there are of each."""
    size = evenly(total, most, unit)
    whole, rest = divmod(total, size)
    if whole:
        yield size, whole
    if rest:
        yield rest, 1


def _times(plan: Draft) -> list[int]:
    """Return how often each stage's weights are loaded."""
    once = len(plan.blocks) > 1 or plan.runs == 1
    return [1 if kept or once else plan.runs for kept in plan.weights.resident]
