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
from typing import TypeAlias

from tilewright.compiler.schedule.array.area import Area, runs
from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.array.stacked import of_images, stored_parts
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.array.work import Chunk, even_parts
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.plan.parts import Parts
from tilewright.compiler.schedule.plan.parts_cost import parts_cost
from tilewright.compiler.schedule.plan.strips import Draft
from tilewright.compiler.schedule.timing import Timing
from tilewright.isa.layout import FeatureMapLayout


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


@dataclass(frozen=True)
class _Made:
    """Cycles in which the array works for a stage, those of all its stores, and of the last one."""

    cycles: int
    stored: int
    last: int


_Heights: TypeAlias = tuple[tuple[int, int], ...]
"""Rows that a step adds, and how many steps add as many."""

_Columns: TypeAlias = tuple[tuple[int, int], ...]
"""Those of each strip of columns, as (first, end)."""

_Rows: TypeAlias = tuple[str, tuple[int, ...], _Columns, tuple[int, ...]]
"""What loads of a value depend on, as :meth:`Estimate._values` takes it."""

_Results: TypeAlias = tuple[Stage, tuple[Block, ...], tuple[int, ...], _Columns, bool, bool]
"""What results of a stage depend on, as :meth:`Estimate._make` takes it."""


class Estimate:
    """The cost of plans of one network on one engine.

    Parameters
    ----------
    lowered : LoweredGraph
    timing : Timing, of the engine with its memory
    images : that a program runs
    """

    def __init__(self, lowered: LoweredGraph, timing: Timing, images: int = 1) -> None:
        self._lowered = lowered
        self._images = images
        self._config = lowered.config
        self._timing = timing
        self._heights: dict[tuple[int, ...], _Heights] = {}
        self._weights: dict[tuple[Stage, tuple[Block, ...]], int] = {}
        self._over: dict[tuple[Stage, tuple[Block, ...], int], int] = {}
        self._read: dict[_Rows, _Moved] = {}
        self._loaded: dict[tuple[str, int, Area], int] = {}
        self._places: dict[tuple[Stage, str, Area], tuple[int, int]] = {}
        self._made: dict[_Results, _Made] = {}
        self._stored: dict[tuple[Stage, int, Area], tuple[int, int]] = {}
        self._work: dict[tuple[Stage, Area], int] = {}
        self._around: dict[tuple[Stage, tuple[Block, ...], Area, bool, bool], int] = {}

    def __call__(self, plan: Draft) -> Cost:
        """Return what a plan costs, for all images."""
        if plan.parts is not None:
            cost = self._in_parts(plan, plan.parts)
        else:
            cost = self._whole(plan)
        again = self._images // (plan.images * plan.group.images)
        return cost if again == 1 else Cost(cost.cycles * again, cost.traffic * again)

    def _whole(self, plan: Draft) -> Cost:
        """Return what a plan costs whose sums are not in parts, for images that share weights."""
        images, loads = plan.images, self._loads(plan)
        compute = size = stored = last = weights = weight_cycles = 0
        # How often weights are loaded that do not stay.
        again = 1 if len(plan.blocks) > 1 else plan.runs
        for number, stage in enumerate(plan.group.stages):
            cuts = plan.weights.blocks[number]
            times = 1 if plan.weights.resident[number] else again
            weights += stage.weight_bytes(self._config) * times
            weight_cycles += self._load_cycles(stage, cuts) * times
            made = self._results(plan, number)
            compute += made.cycles * images
            if times * len(cuts) > 1:
                compute += times * self._overflow(stage, cuts, plan.weights.stream_words)
            if stage.output in plan.group.stores:
                size += self._lowered.layout(stage.output).size_bytes * images * plan.group.images
                stored += made.stored * images
                last = max(last, made.last)
        if not plan.early:
            compute += self._by_memory(plan) * images
        rows = loads.cycles * images
        load = rows + weight_cycles
        moved = load + stored if self._timing.one_port else max(load, stored)
        if not plan.ahead and plan.steps > 1:
            compute += rows
        elif len(plan.columns.strips) > 1:
            # As if there were no room for the first rows of the next strip of columns.
            compute += loads.alone * (len(plan.columns.strips) * images - 1)
        return Cost(max(compute, moved) + loads.alone + last, loads.size * images + weights + size)

    def _in_parts(self, plan: Draft, parts: Parts) -> Cost:
        """Return what a plan of one stage costs whose sums are in parts."""
        (stage,), config, lowered = plan.group.stages, self._config, self._lowered
        rate = self._timing.rate
        again = 1 if len(plan.blocks) > 1 else plan.steps
        cycles, traffic = parts_cost(stage, parts, config, plan.columns, self._timing, again)
        cycles, traffic = cycles * plan.images, traffic * plan.images
        stores = sum(lowered.layout(v).size_bytes for v in plan.group.stores)
        last = min(stores, config.out_depth // 2 * config.rows)
        stores *= plan.images
        loads = 0
        if not parts.lane_slots:
            once = sum(lowered.layout(v).size_bytes for v in plan.group.loads)
            loads = once * len(plan.blocks) * plan.images
            cycles += (once / plan.steps if plan.ahead else loads) / rate
        moved = traffic + loads
        moved = moved + stores if self._timing.one_port else max(moved, stores)
        return Cost(max(cycles, moved / rate) + last / rate, traffic + loads + stores)

    def _load_cycles(self, stage: Stage, cuts: tuple[Block, ...]) -> int:
        """Return the cycles in which blocks of weights are loaded."""
        known = self._weights.get((stage, cuts))
        if known is None:
            known = sum(self._block_cycles(stage, block) for block in cuts)
            self._weights[stage, cuts] = known
        return known

    def _block_cycles(self, stage: Stage, block: Block) -> int:
        """Return the cycles in which a block of weights is loaded."""
        config, timing = self._config, self._timing
        return sum(
            load.cycles(config, timing)
            for source in stage.sources
            for load in source.loads(config, block)
        )

    def _loads(self, plan: Draft) -> _Moved:
        """Return what is loaded of values; before the first strip, nothing else runs."""
        group = plan.group
        size = cycles = alone = 0
        for value in group.loads:
            spans = tuple(spans[value][1] - spans[value][0] for spans in plan.spans)
            key = value, plan.frontier[value], plan.columns.of(value), spans
            known = self._read.get(key)
            if known is None:
                known = self._read[key] = self._values(*key)
            size += known.size
            cycles += known.cycles
            alone += known.alone
        for stage in group.stages:
            for value in stage.positions:
                size += self._lowered.layout(value).size_bytes
                for area, count in self._areas(plan, stage):
                    cycles += self._positions(stage, value, area)[0] * count
        return _Moved(size, cycles, alone)

    def _values(
        self,
        value: str,
        made: tuple[int, ...],
        columns: _Columns,
        spans: tuple[int, ...],
    ) -> _Moved:
        """Return what is loaded of a value.

        Parameters
        ----------
        made : its complete rows after each step
        columns : of each strip of columns
        spans : for each block of weights, the channel groups that it reads
        """
        layout = self._lowered.layout(value)
        size = cycles = alone = 0
        for at, (left, right) in enumerate(columns):
            row = layout.columns_bytes(left, right)
            for number, n_cg in enumerate(spans):
                groups = Block(0, n_cg)
                if not n_cg or left == right:
                    continue
                size += made[-1] * row * n_cg
                for height, count in self._by_height(made):
                    cycles += self._rows(value, groups, Area(0, height, left, right)) * count
                if number == 0 and at == 0 and made[1]:
                    alone += self._rows(value, groups, Area(0, made[1], left, right))
        return _Moved(size, cycles, alone)

    def _by_height(self, made: tuple[int, ...]) -> _Heights:
        """Return the rows that steps add to a value, and how many steps add as many."""
        known = self._heights.get(made)
        if known is None:
            heights = Counter(b - a for a, b in pairwise(made) if b > a)
            known = self._heights[made] = tuple(heights.items())
        return known

    def _areas(self, plan: Draft, stage: Stage) -> Iterator[tuple[Area, int]]:
        """Yield strips of a stage's output, of rows and of columns, and how many are alike."""
        heights = self._by_height(plan.frontier[stage.output])
        for columns in plan.columns.of(stage.output):
            if columns[0] < columns[1]:
                yield from ((Area(0, height, *columns), count) for height, count in heights)

    def _rows(self, value: str, groups: Block, area: Area) -> int:
        """Return the cycles in which some of a value is loaded."""
        area = Area(0, area.rows, 0, area.width)
        key = (value, groups.n_kg, area)
        known = self._loaded.get(key)
        if known is None:
            layout = self._lowered.layout(value)
            pixel = layout.pixel.bit_length()
            known = self._loaded[key] = sum(
                self._timing.rows(run.times, run.stride, run.rows, area.width, pixel)
                for _, part in of_images(area, layout.height)
                for run in runs(layout, groups, part)
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
            unit = op.row_unit(self._config, most)
            for left in range(area.left, area.right, most.columns):
                right = min(left + most.columns, area.right)
                row = layout.columns_bytes(left, right) // self._config.rows
                for height, count in even_parts(area.rows, most.rows, unit):
                    if right - left == layout.width:
                        each = layout.groups * self._timing.words(height * row)
                    else:
                        each = layout.groups * height * self._timing.words(row)
                    cycles, first = cycles + each * count, first or each
            known = self._places[key] = cycles, first
        return known

    def _results(self, plan: Draft, number: int) -> _Made:
        """Return what it takes to compute and to store a stage's output."""
        group, stage = plan.group, plan.group.stages[number]
        rows, columns = plan.frontier[stage.output], plan.columns.of(stage.output)
        stored = stage.output in group.stores
        inside = any(value not in group.loads for value in stage.inputs)
        key = stage, plan.weights.blocks[number], rows, columns, stored, inside
        known = self._made.get(key)
        if known is None:
            known = self._made[key] = self._make(plan, *key)
        return known

    def _make(
        self,
        plan: Draft,
        stage: Stage,
        cuts: tuple[Block, ...],
        rows: tuple[int, ...],
        columns: _Columns,
        stored: bool,
        inside: bool,
    ) -> _Made:
        """Return what it takes to compute rows and columns of a stage's output.

        Parameters
        ----------
        cuts : blocks of its weights
        stored : results go to memory
        inside : it reads what a stage of the group has made
        """
        cycles = sum(self._passes(stage, Area(0, rows[-1], *span)) for span in columns)
        # What waits in the buffer of results while other stages run: about so much of it.
        waits = 0.75 * self._config.out_depth * self._config.rows / self._timing.rate
        stores = last = 0
        for area, count in self._areas(plan, stage):
            around = stage, cuts, area, stored, inside
            beside = self._around.get(around)
            if beside is None:
                beside = self._beside_passes(stage, cuts, area, stored=stored, inside=inside)
                self._around[around] = beside
            cycles += beside * count
            if stored:
                each, last = self._stores(stage, cuts, area)
                stores += each * count
                cycles += max(0, int(each - self._passes(stage, area) - waits)) * count
        return _Made(cycles, stores, last)

    def _stores(self, stage: Stage, blocks: tuple[Block, ...], area: Area) -> tuple[int, int]:
        """Return the cycles of all stores of an area, and of the last of them."""
        cycles = sum(
            self._block_stores(stage, n_kg, area)[0] * count
            for n_kg, count in Counter(block.n_kg for block in blocks).items()
        )
        return cycles, self._block_stores(stage, blocks[-1].n_kg, area)[1]

    def _block_stores(self, stage: Stage, n_kg: int, area: Area) -> tuple[int, int]:
        """Return the cycles of all stores of a block's results, and of the last of them."""
        key = (stage, n_kg, area)
        known = self._stored.get(key)
        if known is None:
            op, layout = stage.ops[0], self._lowered.layout(stage.output)
            most = op.chunk(self._config, Chunk(area.rows, n_kg, area.width), stored=True)
            unit = op.row_unit(self._config, most)
            cycles = last = 0
            for left in range(area.left, area.right, most.columns):
                right = min(left + most.columns, area.right)
                for groups, times in even_parts(n_kg, most.n_kg):
                    for height, count in even_parts(area.rows, most.rows, unit):
                        last = self._store_cycles(layout, groups, Area(0, height, left, right))
                        cycles += last * times * count
            known = self._stored[key] = cycles, last
        return known

    def _store_cycles(self, layout: FeatureMapLayout, groups: int, area: Area) -> int:
        """Return the cycles of all stores of what goes through the buffer together."""
        return sum(
            self._timing.results(run.times, run.stride, run.rows, area.width)
            for block, _, part, *_ in stored_parts(Block(0, groups), area, layout.height)
            for run in runs(layout, block, part, in_order=True)
        )

    def _overflow(self, stage: Stage, blocks: tuple[Block, ...], room: int) -> int:
        """Return the cycles in which the array waits for weights.

        What of a block does not fit beside the one in use is loaded meanwhile.
        """
        known = self._over.get((stage, blocks, room))
        if known is None:
            sizes = [stage.block_words(self._config, block) for block in blocks]
            widest, known = max(sizes), 0
            for block, size in zip(blocks, sizes, strict=True):
                over = size - (room - widest)
                if over > 0:
                    known += self._block_cycles(stage, block) * over // size
            self._over[stage, blocks, room] = known
        return known

    def _by_memory(self, plan: Draft) -> int:
        """Return the cycles in which the array waits for offsets of the same strip.

        From its last results on, until what reads them in memory starts.
        """
        gaps, group = self._timing.gaps, plan.group
        cycles = 0
        for maker in group.stages:
            for reader in group.moved.get(maker.output, ()):
                for area, count in self._areas(plan, reader):
                    _, store = self._stores(maker, (Block(0, maker.n_kg),), area)
                    _, load = self._positions(reader, maker.output, area)
                    cycles += count * (gaps.store + store + load + 2 * gaps.arrival)
        return cycles

    def _passes(self, stage: Stage, area: Area) -> int:
        """Return the cycles of all passes of a stage in an area."""
        known = self._work.get((stage, area))
        if known is None:
            known, config = 0, self._config
            for op in stage.ops:
                first, end = op.result.own_rows(area.start, area.stop)
                left, right = op.result.own_columns(area.left, area.right)
                known += op.all_cycles(config, end - first, right - left)
            self._work[stage, area] = known
        return known

    def _beside_passes(
        self, stage: Stage, cuts: tuple[Block, ...], area: Area, *, stored: bool, inside: bool
    ) -> int:
        """Return the cycles of an area of a stage beside its passes.

        ``inside`` : it reads what the stage before has made.
        """
        config, gaps = self._config, self._timing.gaps
        cycles, sizes = 0, Counter(cut.n_kg for cut in cuts)
        for op in stage.computing(area.rows):
            commands = leads = 0
            for n_kg, count in sizes.items():
                whole = Chunk(area.rows, n_kg, area.width)
                most = op.chunk(config, whole, stored=stored)
                chunks = -(-area.rows // most.rows) * -(-area.width // most.columns) * count
                commands += chunks * -(-n_kg // most.n_kg)
                leads += chunks * n_kg
            if n_kg != cuts[-1].n_kg:
                most = op.chunk(config, whole._replace(n_kg=cuts[-1].n_kg), stored=stored)
            cycles -= self._saved(op, area, most)
            commands = max(commands, len(op.sections))
            fenced = commands if op.windows.waits else int(inside and op is stage.ops[0])
            cycles += leads * op.lead_cycles(config)
            cycles += commands * gaps.command + fenced * (gaps.fence - gaps.command)
        return cycles

    def _saved(self, op: ArrayOp, area: Area, most: Chunk) -> int:
        """Return the cycles of passes that are saved where rows share words.

        ``most`` : what a command computes of the area.
        """
        if not self._config.shared_words:
            return 0
        saved = 0
        for left in range(area.left, area.right, most.columns):
            columns = op.result.own_columns(left, min(left + most.columns, area.right))
            for height, count in even_parts(area.rows, most.rows, op.row_unit(self._config, most)):
                first, end = op.result.own_rows(0, height)
                for section in op.sections:
                    each = op.saved_cycles(
                        self._config, section, end - first, columns[1] - columns[0]
                    )
                    saved += count * section.n_kg * each
        return saved
