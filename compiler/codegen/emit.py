"""Array operations as commands, in the order in which the network runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from tilewright.compiler.codegen.hazards import HazardTracker, Span, ring_spans
from tilewright.compiler.codegen.memory import Region
from tilewright.compiler.isa import (
    Command,
    Compute,
    EngineConfig,
    LoadActivations,
    LoadWeights,
    Store,
    Unit,
)
from tilewright.compiler.isa.layout import FeatureMapLayout
from tilewright.compiler.schedule import ArrayOp, EngineLimitError, LoweredGraph, Tile, Tiling
from tilewright.compiler.schedule.tiling import Block, Strip

_WORD = 1 << 16


@dataclass(frozen=True)
class Entry:
    """A command, and the commands (by unit, the last index) that must be complete before it."""

    command: Command
    after: dict[Unit, int]


@dataclass
class Emitter:
    """Write the commands of one array operation after another.

    The buffers are used as rings; the hazard tracker finds what each command must wait for, so
    loads run ahead of the array as far as the buffers allow.
    """

    config: EngineConfig
    lowered: LoweredGraph
    feature_maps: dict[str, Region]
    entries: list[Entry] = field(default_factory=list)
    _hazards: HazardTracker = field(default_factory=HazardTracker)
    _counts: dict[Unit, int] = field(default_factory=lambda: dict.fromkeys(Unit, 0))
    _act_next: int = 0
    _weight_next: int = 0
    _out_next: int = 0

    def emit(self, op: ArrayOp, tiling: Tiling, weights: dict[int, Region]) -> None:
        """Append the commands of an operation.

        Raises
        ------
        EngineLimitError
            If a number does not fit its field; the message names the layer.
        """
        resident: dict[Block, int] = {}
        acts: tuple[Strip, Block | None] | None = None
        act_base = 0
        for tile in tiling.tiles():
            if tile.block not in resident:
                if not tiling.resident:
                    resident.clear()
                resident[tile.block] = self._load_weights(op, tile.block, weights[tile.block.kg])
            wanted = (tile.strip, tile.block if op.per_group else None)
            if acts != wanted:
                act_base = self._load_activations(op, tile)
                acts = wanted
            out_base = self._compute(op, tile, act_base, resident[tile.block])
            self._store(op, tile, out_base)

    def _append(self, command: Command, reads: list[Span], writes: list[Span]) -> None:
        unit = command.UNIT
        after = self._hazards.access(unit, self._counts[unit], reads, writes)
        self._counts[unit] += 1
        self.entries.append(Entry(command, after))

    def _load_weights(self, op: ArrayOp, block: Block, region: Region) -> int:
        """Load a block and return its first word in the buffer."""
        config = self.config
        base = self._weight_next
        words = region.size // config.rows
        # In pieces, so that the first can go where the array is already done.
        piece = max(64, config.weight_depth // 4)
        for first in range(0, words, piece):
            count = min(piece, words - first)
            address = region.address + first * config.rows
            self._append(
                LoadWeights(
                    layer=op.layer,
                    address=address,
                    words=count,
                    base=(base + first) % config.weight_depth,
                ),
                [],
                ring_spans("weights", base + first, count, config.weight_depth),
            )
        self._weight_next = (base + words) % config.weight_depth
        return base

    def _act_region(self, words: int) -> int:
        if self._act_next + words > self.config.act_depth:
            self._act_next = 0
        base = self._act_next
        self._act_next += words
        return base

    def _load_activations(self, op: ArrayOp, tile: Tile) -> int:
        """Load the input rows of a strip and return their first lane word."""
        config, strip = self.config, tile.strip
        channels, height, width = op.input_type.shape
        layout = FeatureMapLayout(config, channels, height, width)
        first, groups = (tile.block.kg, tile.block.n_kg) if op.per_group else (0, layout.groups)
        row = -(-width // config.cols)
        words = groups * strip.n_iy * row
        base = self._act_region(words * len(op.inputs))
        for index, value in enumerate(op.inputs):
            address = (
                self.feature_maps[value].address
                + first * layout.group_bytes
                + strip.iy * layout.row_bytes
            )
            start = base + index * words
            self._append(
                LoadActivations(
                    layer=op.layer,
                    address=address,
                    groups=groups,
                    group_stride=layout.group_bytes,
                    height=strip.n_iy,
                    width=width,
                    base=start,
                    row_step=row,
                    group_step=strip.n_iy * row,
                ),
                [
                    Span(
                        "memory",
                        address + g * layout.group_bytes,
                        address + g * layout.group_bytes + strip.n_iy * layout.row_bytes,
                    )
                    for g in range(groups)
                ],
                [Span("activations", start, start + words)],
            )
        return base

    def _compute(self, op: ArrayOp, tile: Tile, act_base: int, weight_base: int) -> int:
        """Compute a tile and return its first word in the output buffer."""
        config, strip = self.config, tile.strip
        channels, _, width = op.input_type.shape
        out_width = op.output_type.shape[2]
        row = -(-width // config.cols)
        group_step = strip.n_iy * row
        groups = tile.block.n_kg if op.per_group else -(-channels // config.rows)
        n_cg, segment, last_segment = op.segments(config)
        adds = len(op.inputs) == 2
        y0 = tile.oy * op.stride[0] - op.padding[0] - strip.iy
        x0 = -op.padding[2]
        kernel_words = config.param_words + op.steps
        first_word = weight_base + (tile.kg - tile.block.kg) * kernel_words
        count = tile.n_kg * tile.n_oy * out_width
        out_base = self._out_next
        self._out_next = (out_base + count) % config.out_depth
        first_group = (tile.kg - tile.block.kg) if op.per_group else 0
        command = Compute(
            layer=op.layer,
            maximum=int(op.maximum),
            signed=int(op.input_type.signed),
            segment_log2=op.segment_log2,
            segment=segment,
            last_segment=last_segment,
            n_kg=tile.n_kg,
            n_oy=tile.n_oy,
            n_ox=-(-out_width // config.cols),
            n_cg=n_cg,
            n_r=op.kernel[0],
            n_s=op.kernel[1],
            stride_x=op.stride[1],
            weight_base=first_word % config.weight_depth,
            act_base=act_base + first_group * group_step,
            act_row=y0 * row % group_step,
            act_ring=group_step,
            kg_step=group_step if op.per_group else 0,
            # The second operand of an addition lies behind the first, like a channel group.
            cg_step=groups * group_step if adds else group_step,
            oy_step=op.stride[0] * row % group_step,
            r_step=op.dilation[0] * row % group_step,
            y0=y0,
            oy_dy=op.stride[0],
            r_dy=op.dilation[0],
            in_h=strip.n_iy,
            x0=x0,
            x0_word=x0 // config.cols,
            x0_lane=x0 % config.cols,
            s_dx=op.dilation[1],
            s_word=op.dilation[1] // config.cols,
            s_lane=op.dilation[1] % config.cols,
            in_w=width,
            pad=op.pad & 0xFF,
            zero_point=op.zero_point,
            qmin=op.qmin,
            qmax=op.qmax,
            out_w=out_width,
            out_base=out_base,
            out_kg_step=tile.n_oy * out_width,
            out_row_step=out_width,
        )
        for field_ in Compute.FIELDS:
            low, high = field_.range
            value = getattr(command, field_.name)
            if not low <= value <= high:
                raise EngineLimitError(
                    f"{op.name}: {field_.doc} must be in {low}..{high}, not {value}"
                )
        self._append(
            command,
            [
                Span("activations", act_base, act_base + len(op.inputs) * groups * group_step),
                *ring_spans("weights", first_word, tile.n_kg * kernel_words, config.weight_depth),
            ],
            ring_spans("results", out_base, count, config.out_depth),
        )
        return out_base

    def _store(self, op: ArrayOp, tile: Tile, out_base: int) -> None:
        config = self.config
        layout = FeatureMapLayout(config, *op.output_type.shape)
        width = op.output_type.shape[2]
        address = (
            self.feature_maps[op.output].address
            + tile.kg * layout.group_bytes
            + tile.oy * layout.row_bytes
        )
        self._append(
            Store(
                layer=op.layer,
                address=address,
                groups=tile.n_kg,
                group_stride=layout.group_bytes,
                height=tile.n_oy,
                width=width,
                base=out_base,
            ),
            ring_spans("results", out_base, tile.n_kg * tile.n_oy * width, config.out_depth),
            [
                Span(
                    "memory",
                    address + g * layout.group_bytes,
                    address + g * layout.group_bytes + tile.n_oy * layout.row_bytes,
                )
                for g in range(tile.n_kg)
            ],
        )
