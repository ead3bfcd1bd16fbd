"""Weights, kernels and tables on their way to the engine's buffers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tilewright.compiler.codegen.hazards import Span, ring_spans
from tilewright.compiler.codegen.memory import Region
from tilewright.compiler.codegen.recorder import Recorder
from tilewright.compiler.schedule import ArrayOp, LoweredGraph, Plan, TileTerm
from tilewright.compiler.schedule.plan.group import Block, kernel_bytes, kernel_words, word_bytes
from tilewright.isa import LoadKernels, LoadKernelSteps, LoadTable, LoadWeights
from tilewright.isa.kernel_steps import pack_kernel_steps
from tilewright.isa.layout import align


@dataclass
class _Stream:
    """Where weights that take turns go: ``words`` words of the weight ring from ``start``."""

    start: int
    words: int
    used: int = 0

    def place(self, words: int) -> int:
        if self.used + words > self.words:
            self.used = 0
        base = self.start + self.used
        self.used += words
        return base


class WeightLoader:
    """Emit the loads of weights and tables.

    The weight buffer is a ring. Of a group that runs in several strips, weights that stay have
    room in it, and all others take turns in the rest, if there are any that stay.

    Parameters
    ----------
    recorder : Recorder
    lowered : LoweredGraph
    feature_maps, tables : where values lie, and tables and steps of transforms by content
    """

    def __init__(
        self,
        recorder: Recorder,
        lowered: LoweredGraph,
        feature_maps: Mapping[str, Region],
        tables: Mapping[bytes, Region],
    ) -> None:
        self.config = recorder.config
        self._recorder = recorder
        self._lowered = lowered
        self._feature_maps = feature_maps
        self._tables = tables
        self._next = 0
        self._in_turns: _Stream | None = None
        self._held: dict[bytes, int] = {}
        self._transform = b""

    def begin(self, plan: Plan) -> None:
        """Make room for the weights of a group that take turns."""
        self._in_turns = None
        if plan.steps > 1 and len(plan.blocks) == 1 and any(plan.resident) != all(plan.resident):
            self._in_turns = _Stream(self._next, plan.stream_words)
            self._next = (self._next + plan.stream_words) % self.config.weight_depth

    def load(self, op: ArrayOp, block: Block, region: Region, *, kept: bool) -> int:
        """Load a block, which stays or takes turns, and return its first word in the buffer."""
        config = self.config
        wide = op.term is not None
        kernel_groups = range(block.kg, block.kg + block.n_kg)
        words = sum(kernel_words(op, kg, config) for kg in kernel_groups)
        words = align(words, config.weights_per_byte)
        per_unit = 1 if wide else config.weights_per_byte  # words that an address counts
        if kept or self._in_turns is None:
            base = self._next
            self._next = (base + words) % config.weight_depth
        else:
            base = self._in_turns.place(words)
        if op.term is not None and op.term.kernels:
            self._load_kernels(op, op.term, block, region, base)
            return base
        # In pieces, so that the first can go where the array is already done.
        tight = wide or 2 * words > config.weight_depth
        piece = max(64, config.weight_depth // (16 if tight else 4))
        for first in range(0, words, piece):
            count = min(piece, words - first)
            self._recorder.append(
                LoadWeights(
                    layer=op.layer,
                    address=region.address + first * word_bytes(op, config),
                    words=count * word_bytes(op, config) // config.rows,
                    base=(base + first) % config.weight_depth // per_unit,
                    wide=int(wide),
                ),
                [],
                ring_spans("weights", base + first, count, config.weight_depth),
            )
        if op.gate is not None:
            self._load_gate(op, op.gate, block, base)
        return base

    def _load_kernels(
        self, op: ArrayOp, term: TileTerm, block: Block, region: Region, base: int
    ) -> None:
        """Load a block of kernels which the engine transforms."""
        config, transform = self.config, term.transform
        steps = pack_kernel_steps(config, transform.steps).tobytes()
        if self._transform != steps:
            self._transform = steps
            self._recorder.append(
                LoadKernelSteps(
                    layer=op.layer, address=self._tables[steps].address, words=len(transform.steps)
                ),
                [],
                [],
            )
        address, depth = region.address, config.weight_depth
        for kg in range(block.kg, block.kg + block.n_kg):
            channels = op.section_of[kg].steps
            size = kernel_bytes(op, kg, config)
            self._recorder.append(
                LoadWeights(
                    layer=op.layer, address=address, words=config.param_words, base=base % depth
                ),
                [],
                ring_spans("weights", base, config.param_words, depth),
            )
            base += config.param_words
            self._recorder.append(
                LoadKernels(
                    layer=op.layer,
                    address=address + size[0],
                    base=base % depth,
                    term_step=channels,
                    steps=len(transform.steps),
                    channels=channels,
                    taps=term.tiling.kernel[0] * term.tiling.kernel[1],
                ),
                [],
                ring_spans("weights", base, transform.kernels * channels, depth),
            )
            base += transform.kernels * channels
            address += sum(size)

    def _load_gate(self, op: ArrayOp, gate: str, block: Block, base: int) -> None:
        """Replace the last weight word of each kernel group by a pixel word of a feature map."""
        config, layout = self.config, self._lowered.layout(gate)
        word = base
        for kg in range(block.kg, block.kg + block.n_kg):
            word += kernel_words(op, kg, config)
            address = self._feature_maps[gate].address + kg * layout.group_bytes
            self._recorder.append(
                LoadWeights(
                    layer=op.layer,
                    address=address,
                    words=1,
                    base=(word - 1) % config.weight_depth,
                ),
                [self._recorder.memory_span(address, layout.row_bytes, 1, layout.group_bytes)],
                ring_spans("weights", word - 1, 1, config.weight_depth),
            )

    def table(self, op: ArrayOp) -> int:
        """Return the number of an operation's table, from 1; load it unless the engine holds it.

        It takes the place of the one that was used longest ago.
        """
        assert op.table is not None
        content = op.table.tobytes()
        slot = self._held.pop(content, None)
        if slot is None:
            slot = len(self._held)
            if slot == self.config.tables:
                slot = self._held.pop(next(iter(self._held)))
            self._recorder.append(
                LoadTable(
                    layer=op.layer,
                    address=self._tables[content].address,
                    words=len(op.table),
                    base=len(op.table) * slot,
                ),
                [],
                [Span("tables", slot, 1)],
            )
        self._held[content] = slot
        return slot + 1
