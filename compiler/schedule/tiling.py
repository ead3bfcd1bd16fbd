"""Strips of rows and blocks of channels that fit the buffers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tilewright.compiler.isa import EngineConfig
from tilewright.compiler.isa.layout import FeatureMapLayout
from tilewright.compiler.schedule.array_op import ArrayOp, EngineLimitError

# Cycles that a command costs beside its passes and beats; only to weigh tilings against each
# other, the exact figures are the cycle model's.
_COMMAND_CYCLES = 40


@dataclass(frozen=True)
class Strip:
    """Output rows ``oy .. oy + n_oy - 1`` and the input rows that exist among those they read."""

    oy: int
    n_oy: int
    iy: int
    n_iy: int


@dataclass(frozen=True)
class Block:
    """Kernel groups ``kg .. kg + n_kg - 1``, whose weights are loaded together."""

    kg: int
    n_kg: int


@dataclass(frozen=True)
class Tile:
    """What one compute command does."""

    strip: Strip
    block: Block
    kg: int
    n_kg: int
    oy: int
    n_oy: int


@dataclass(frozen=True)
class Tiling:
    """How an array operation is cut up.

    ``resident``: the weights of all blocks stay in the buffer, so they are loaded once.
    ``strips_outer``: all blocks run on a strip before the next strip, else the other way round.
    """

    strips: tuple[Strip, ...]
    blocks: tuple[Block, ...]
    resident: bool
    strips_outer: bool
    tile_kg: int
    tile_oy: int

    def tiles(self) -> Iterator[Tile]:
        """Yield the compute commands in execution order."""
        if self.strips_outer:
            pairs = [(s, b) for s in self.strips for b in self.blocks]
        else:
            pairs = [(s, b) for b in self.blocks for s in self.strips]
        for strip, block in pairs:
            for kg in range(block.kg, block.kg + block.n_kg, self.tile_kg):
                n_kg = min(self.tile_kg, block.kg + block.n_kg - kg)
                for oy in range(strip.oy, strip.oy + strip.n_oy, self.tile_oy):
                    n_oy = min(self.tile_oy, strip.oy + strip.n_oy - oy)
                    yield Tile(strip, block, kg, n_kg, oy, n_oy)


def cut_strips(op: ArrayOp, n_oy: int) -> tuple[Strip, ...]:
    """Return strips of ``n_oy`` output rows."""
    height = op.input_type.shape[1]
    strips = []
    for oy in range(0, op.output_type.shape[1], n_oy):
        rows = min(n_oy, op.output_type.shape[1] - oy)
        if len(op.inputs) == 2:
            strips.append(Strip(oy, rows, oy, rows))
            continue
        first = oy * op.stride[0] - op.padding[0]
        last = first + (rows - 1) * op.stride[0] + (op.kernel[0] - 1) * op.dilation[0]
        iy = min(max(first, 0), height - 1)
        # A strip that reads padding only still has a row, so that no command is empty.
        strips.append(Strip(oy, rows, iy, max(min(last, height - 1) - iy + 1, 1)))
    return tuple(strips)


def act_words(op: ArrayOp, config: EngineConfig, n_iy: int, n_kg: int) -> int:
    """Return the lane words that ``n_iy`` input rows take, for ``n_kg`` kernel groups."""
    groups = n_kg if op.per_group else -(-op.input_type.shape[0] // config.rows)
    row = -(-op.input_type.shape[2] // config.cols)
    return groups * n_iy * row * len(op.inputs)


def tile_op(op: ArrayOp, config: EngineConfig) -> Tiling:
    """Choose a tiling by estimated time, then by memory traffic.

    Raises
    ------
    EngineLimitError
        If not even one output row, or one kernel group's weights, fit; it names what must grow.
    """
    block_words = config.param_words + op.steps
    if block_words > config.weight_depth:
        raise EngineLimitError(
            f"{op.name}: the weights of {config.rows} output channels take {block_words} words; "
            f"the engine's weight_depth must be at least that, not {config.weight_depth}"
        )
    width = op.output_type.shape[2]
    if width > config.out_depth:
        raise EngineLimitError(
            f"{op.name}: an output row has {width} pixels; the engine's out_depth must be at "
            f"least that, not {config.out_depth}"
        )
    best: tuple[float, Tiling] | None = None
    needed = 0
    for tiling in _candidates(op, config, block_words):
        words = max(
            act_words(op, config, strip.n_iy, block.n_kg)
            for strip in tiling.strips
            for block in tiling.blocks
        )
        several = len(tiling.strips) > 1 or (op.per_group and len(tiling.blocks) > 1)
        if words > config.act_depth:
            needed = words
            continue
        cost = _cost(op, config, tiling)
        if several and 2 * words > config.act_depth:
            cost *= 1.5  # no room to load the next strip beside this one
        if best is None or cost < best[0]:
            best = cost, tiling
    if best is None:
        raise EngineLimitError(
            f"{op.name}: the input rows of one output row take {needed} words of each lane; the "
            f"engine's act_depth must be at least that, not {config.act_depth}"
        )
    return best[1]


def _candidates(op: ArrayOp, config: EngineConfig, block_words: int) -> Iterator[Tiling]:
    """Yield tilings from coarse to fine."""
    out_height, out_width = op.output_type.shape[1:]
    resident = op.n_kg * block_words <= config.weight_depth
    sizes = {op.n_kg} if resident else {max(1, config.weight_depth // 2 // block_words)}
    if op.per_group:
        sizes |= {max(1, -(-op.n_kg // n)) for n in (2, 4, 8, 16, op.n_kg)}
        sizes = {n for n in sizes if n * block_words <= config.weight_depth}
    heights = {-(-out_height // n) for n in range(1, out_height + 1)}
    half = max(config.out_depth // 2, out_width)
    for n_kg in sorted(sizes, reverse=True):
        blocks = tuple(Block(kg, min(n_kg, op.n_kg - kg)) for kg in range(0, op.n_kg, n_kg))
        for n_oy in sorted(heights, reverse=True):
            strips = cut_strips(op, n_oy)
            tile_oy = min(n_oy, half // out_width)
            tile_kg = max(1, min(n_kg, half // (tile_oy * out_width)))
            for strips_outer in (False, True):
                if op.per_group and strips_outer:
                    continue  # every block has its own channels: nothing to share over strips
                yield Tiling(strips, blocks, resident, strips_outer, tile_kg, tile_oy)


def _cost(op: ArrayOp, config: EngineConfig, tiling: Tiling) -> float:
    """Estimate cycles: the slowest unit, and what does not overlap with it."""
    rows, bus = config.rows, config.bus_bytes
    channels, _, in_width = op.input_type.shape
    row_bytes = FeatureMapLayout(config, channels, 1, in_width).row_bytes
    groups = -(-channels // rows)
    strip_rows = [strip.n_iy for strip in tiling.strips]
    once = op.per_group or tiling.strips_outer or len(tiling.strips) == 1
    loads = (
        sum(strip_rows) * row_bytes * groups * len(op.inputs) * (1 if once else len(tiling.blocks))
    )
    weights = op.n_kg * (config.param_words + op.steps) * rows
    if tiling.strips_outer and not tiling.resident:
        weights *= len(tiling.strips)
    out_height, out_width = op.output_type.shape[1:]
    stores = op.n_kg * out_height * out_width * rows
    tiles = sum(1 for _ in tiling.tiles())
    passes = op.n_kg * out_height * -(-out_width // config.cols)
    compute = passes * max(op.steps, config.drain_cycles) + tiles * _COMMAND_CYCLES
    load = (loads + weights) / bus + len(tiling.strips) * _COMMAND_CYCLES
    share = 1 / len(tiling.blocks) if op.per_group else 1.0
    first = (strip_rows[0] * row_bytes * groups * share + weights / len(tiling.blocks)) / bus
    last = min(tiling.tile_kg * tiling.tile_oy * out_width * rows, stores) / bus
    slowest = max(compute, load, stores / bus)
    # Traffic costs energy: it decides between tilings of like speed.
    return slowest + first + last + (loads + weights) / bus / 100
