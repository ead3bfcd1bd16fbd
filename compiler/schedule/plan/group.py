"""Consecutive stages that run together, and the sizes of what they read and write."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from tilewright.compiler.schedule.array.op import ArrayOp, Stage
from tilewright.compiler.schedule.lowering.dispatch import LoweredGraph
from tilewright.isa import EngineConfig
from tilewright.isa.layout import align


@dataclass(frozen=True)
class Block:
    """Kernel groups ``kg .. kg + n_kg - 1``."""

    kg: int
    n_kg: int


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
    def from_memory(self) -> frozenset[str]:
        """Values that operations read from memory, wherever else they are."""
        return frozenset(value for op in self.ops for value in op.from_memory)

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
    later |= {v for stage in lowered.stages[first:] for op in stage.ops for v in op.from_memory}
    return Group(
        first,
        stages,
        tuple(value for value in read if value not in inside),
        frozenset(inside & later),
    )


def kernel_words(op: ArrayOp, kg: int, config: EngineConfig) -> int:
    """Return the weight words of a kernel group, its parameters included, of all terms of tiles."""
    kernels = 1 if op.term is None else op.term.transform.kernels
    return config.param_words + kernels * op.section_of[kg].steps


def word_bytes(op: ArrayOp, config: EngineConfig) -> int:
    """Return the bytes of a weight word in memory, where it is as in the buffer."""
    return 2 * config.rows if op.term is not None else config.rows // config.weights_per_byte


def kernel_bytes(op: ArrayOp, kg: int, config: EngineConfig) -> tuple[int, int]:
    """Return the bytes of a kernel group's parameters, and of its kernels without a transform."""
    assert op.term is not None
    taps = op.term.tiling.kernel[0] * op.term.tiling.kernel[1]
    channel = align(taps * config.rows, config.bus_bytes)
    parameters = align(config.param_words * config.rows, config.bus_bytes)
    return parameters, op.section_of[kg].steps * channel


def weight_costs(stage: Stage, config: EngineConfig) -> tuple[int, float]:
    """Return the bytes of a stage's weights in memory, and about the cycles that loading takes."""
    op, n_kg = stage.ops[0], stage.ops[0].n_kg
    if op.term is None or not op.term.kernels:
        size = block_words(stage, Block(0, n_kg), config) * word_bytes(op, config)
        return size, size / config.bus_bytes
    size, cycles = 0, 0.0
    steps = len(op.term.transform.steps)
    for op in stage.weighted:
        for kg in range(n_kg):
            parameters, kernels = kernel_bytes(op, kg, config)
            size += parameters + kernels
            transform = op.section_of[kg].steps * steps
            cycles += parameters / config.bus_bytes + max(kernels / config.bus_bytes, transform)
    return size, cycles


@lru_cache(maxsize=65536)
def block_words(stage: Stage, block: Block, config: EngineConfig) -> int:
    """Return the weight words of a block, of all operations of a stage, as they are loaded."""
    kernel_groups = range(block.kg, block.kg + block.n_kg)
    return sum(
        align(sum(kernel_words(op, kg, config) for kg in kernel_groups), config.weights_per_byte)
        for op in stage.weighted
    )


@lru_cache(maxsize=65536)
def widest_words(stage: Stage, config: EngineConfig) -> int:
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
    return op.planes * min(first for first, _ in spans), op.planes * max(end for _, end in spans)


def row_words(lowered: LoweredGraph, value: str, config: EngineConfig) -> int:
    """Return the lane words of one row of one channel group."""
    return -(-lowered.values[value].shape[2] // config.cols)


def out_rows(op: ArrayOp, config: EngineConfig, rows: int, n_kg: int) -> tuple[int, int]:
    """Return how many output rows and kernel groups go through the output buffer at a time.

    Of tiles, also through the partial sums, which hold one kernel group.
    """
    width = op.output_type.shape[2]
    if op.deform:
        rows = op.deform.rows_at_once(config, rows)
    half = max(config.out_depth // 2, op.tile_rows * width)
    tile_rows = max(op.tile_rows, min(rows, half // width // op.tile_rows * op.tile_rows))
    if op.term is not None:
        return min(tile_rows, partial_rows(op, config)), 1
    return tile_rows, max(1, min(n_kg, half // (tile_rows * width)))


def partial_rows(op: ArrayOp, config: EngineConfig) -> int:
    """Return how many output rows the partial sums hold, of one kernel group."""
    words = -(-op.columns // config.cols)
    each = words * op.out_step[1] * config.drain_cycles
    return config.partial_depth // each * op.tile_rows
