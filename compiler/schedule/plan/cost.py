"""What a plan costs, about: the slowest unit, what does not overlap with it, and bytes moved."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.array.work import Chunk
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.objective import OVERHEADS, Overheads
from tilewright.compiler.schedule.plan.parts import Parts
from tilewright.compiler.schedule.plan.parts_cost import parts_cost
from tilewright.compiler.schedule.plan.strips import Plan
from tilewright.isa import EngineConfig
from tilewright.isa.layout import FeatureMapLayout


@dataclass(frozen=True)
class Cost:
    """Cycles, estimated, and bytes to and from memory."""

    cycles: float
    traffic: int

    def weighed(self, per_byte: float) -> float:
        """Return one number, with a byte as so many cycles."""
        return self.cycles + per_byte * self.traffic


def estimate(
    plan: Plan,
    lowered: LoweredGraph,
    config: EngineConfig,
    overheads: Overheads = OVERHEADS,
) -> Cost:
    """Return what a plan costs."""
    if plan.parts is not None:
        return _cost_in_parts(plan, plan.parts, lowered, config, overheads)
    bus, group = config.bus_bytes, plan.group
    layouts = {v: lowered.layout(v) for v in (*group.loads, *group.stores)}
    loads, first = _loaded(plan, lowered, layouts)
    stores = sum(layouts[v].size_bytes for v in group.stores)
    weights, weight_cycles = 0, 0.0
    for stage, times in zip(group.stages, _times(plan), strict=True):
        size, cycles = stage.weight_costs(config)
        weights += size * times
        weight_cycles += cycles * times
    compute = _waits(plan, config, overheads)
    for number in range(len(group.stages)):
        compute += _stage_cycles(plan, number, config, overheads)
    load = loads / bus + weight_cycles
    slowest = max(compute, load, stores / bus)
    if not plan.ahead and plan.steps > 1:
        slowest = max(compute + loads / bus, load)
    elif len(plan.columns.strips) > 1 and not plan.apart(config):
        slowest = max(compute + first * (len(plan.columns.strips) - 1) / bus, load)
    # Nothing overlaps with the store of the last results.
    share = 1 - plan.strips[-2] / plan.strips[-1] if plan.steps > 1 else 1
    last = min(stores * share, config.out_depth // 2 * config.rows)
    return Cost(slowest + (first + last) / bus, loads + weights + stores)


def _cost_in_parts(
    plan: Plan,
    parts: Parts,
    lowered: LoweredGraph,
    config: EngineConfig,
    overheads: Overheads,
) -> Cost:
    """Return what a plan of one stage costs whose sums are in parts."""
    (stage,), bus = plan.group.stages, config.bus_bytes
    again = 1 if len(plan.blocks) > 1 else plan.steps
    cycles, traffic = parts_cost(stage, parts, config, plan.columns, overheads.command, again)
    stores = sum(lowered.layout(v).size_bytes for v in plan.group.stores)
    loads = 0
    if not parts.lane_slots:
        once = sum(lowered.layout(v).size_bytes for v in plan.group.loads)
        loads = once * len(plan.blocks)
        cycles += (once / plan.steps if plan.ahead else loads) / bus
    last = min(stores, config.out_depth // 2 * config.rows)
    slowest = max(cycles, (traffic + loads) / bus, stores / bus)
    return Cost(slowest + last / bus, traffic + loads + stores)


def _loaded(
    plan: Plan, lowered: LoweredGraph, layouts: dict[str, FeatureMapLayout]
) -> tuple[int, int]:
    """Return the bytes of values that are loaded, and those before the first strip."""
    group, frontier = plan.group, plan.frontier
    loads = first = 0
    for value in group.loads:
        rows = [layouts[value].columns_bytes(*s.columns[value]) for s in plan.columns.strips]
        loads += frontier[value][-1] * sum(rows) * sum(r[value].groups for r in plan.rings)
        first += frontier[value][1] * rows[0] * plan.rings[0][value].groups
    # Offsets are loaded once per block of weights, at best.
    positions = {value for stage in group.stages for value in stage.positions}
    return loads + sum(lowered.layout(value).size_bytes for value in positions), first


def _times(plan: Plan) -> list[int]:
    """Return how often each stage's weights are loaded."""
    once = len(plan.blocks) > 1 or plan.runs == 1
    return [1 if kept or once else plan.runs for kept in plan.weights.resident]


def _waits(plan: Plan, config: EngineConfig, overheads: Overheads) -> float:
    """Return the cycles in which the array waits for offsets of the same strip, and weights."""
    group, weights = plan.group, plan.weights
    positions = {value for stage in group.stages for value in stage.positions}
    waited = 0 if plan.early else len(positions & {stage.output for stage in group.stages})
    cycles = float(waited * plan.runs * overheads.memory)
    for stage, times, blocks in zip(group.stages, _times(plan), weights.blocks, strict=True):
        sizes = [stage.block_words(config, block) for block in blocks]
        if times * len(sizes) > 1:
            # What of a block does not fit beside the one in use is loaded while the array waits.
            waited_for = sum(max(0, size - (weights.stream_words - max(sizes))) for size in sizes)
            word = stage.sources[0].word_bytes(config)
            cycles += times * waited_for * word / config.bus_bytes
    return cycles


def _stage_cycles(plan: Plan, number: int, config: EngineConfig, overheads: Overheads) -> float:
    """Return the cycles in which the array works for a stage."""
    output = plan.group.stages[number].output
    strips = [strip.columns[output] for strip in plan.columns.strips]
    widths = {right - left: (left, right) for left, right in strips if left < right}
    times = Counter(right - left for left, right in strips)
    return sum(
        times[width] * _strip_cycles(plan, number, columns, config, overheads)
        for width, columns in widths.items()
    )


def _strip_cycles(
    plan: Plan,
    number: int,
    columns: tuple[int, int],
    config: EngineConfig,
    overheads: Overheads,
) -> float:
    """Return the cycles of a stage in one strip of columns, as (left, right)."""
    group, stage = plan.group, plan.group.stages[number]
    made, cuts = plan.frontier[stage.output], plan.weights.blocks[number]
    # Nothing is computed of a value of which readers see padding only.
    strip = max(1, *(b - a for a, b in pairwise(made)))
    left, right = columns
    cycles = 0.0
    for op in stage.ops:
        _, height = op.result.own_rows(0, made[-1])
        words = op.result.words(config, left, right)
        cycles += height * words * sum(s.n_kg * op.pass_cycles(config, s) for s in op.sections)
        whole = Chunk(strip, op.n_kg, right - left)
        chunk = op.chunk(config, whole, stored=op.output in group.stores)
        pieces = -(-strip // chunk.rows) * -(-whole.columns // chunk.columns)
        chunks = plan.steps * pieces
        commands = plan.steps * max(len(cuts), len(op.sections))
        per_cut = -(-op.n_kg // len(cuts))
        commands *= pieces * -(-per_cut // chunk.n_kg)
        fence = overheads.fence if _waits_for_results(plan, stage, op) else 0
        cycles += op.n_kg * chunks * op.lead_cycles(config)
        cycles += commands * (overheads.command + fence)
    return cycles


def _waits_for_results(plan: Plan, stage: Stage, op: ArrayOp) -> bool:
    """Return whether an operation waits for those of the command before it."""
    if op.windows.waits:
        return True
    return op is stage.ops[0] and any(value not in plan.group.loads for value in op.inputs)
