"""What the array does: windows, weights, a reduction and results, in one loop nest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gcd

from tilewright.compiler.schedule.array.reduction import Sum
from tilewright.compiler.schedule.array.result import Result
from tilewright.compiler.schedule.array.section import Block, Section
from tilewright.compiler.schedule.array.weights import Weights
from tilewright.compiler.schedule.array.windows import Windows
from tilewright.compiler.schedule.array.work import (
    MOST_COLUMNS,
    MOST_GROUPS,
    MOST_ROWS,
    MOST_WORDS,
    Chunk,
    cut_at,
)
from tilewright.isa import EngineConfig
from tilewright.isa.passes import PassShape, kernel_group_lead, window_parts, word_columns
from tilewright.isa.words import can_pair, can_share, shared_accesses


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrayOp:
    """A layer, or a part of one, as the engine runs it.

    Convolution, pooling, residual addition and rescaling are all this: windows of the input,
    multiplied by weight words step by step, accumulated, requantized. Whoever schedules it asks its
    parts, and need not know of which kind they are.

    Parameters
    ----------
    name, kind : the layer's module path and operator
    layer : int, index in ``Graph.layers``
    macs : int, useful multiply-accumulates
    windows : where windows come from
    weights : where weights come from
    reduction : how sums end
    result : where results go
    """

    name: str
    kind: str
    layer: int
    macs: int
    windows: Windows
    weights: Weights
    reduction: Sum
    result: Result

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the stored values that are read on chip, each once."""
        return self.windows.inputs

    @property
    def output(self) -> str:
        """Name of the value written."""
        return self.result.value

    @cached_property
    def from_memory(self) -> tuple[str, ...]:
        """Names of the values that are read from memory, wherever they are: factors, offsets."""
        positions = (source.value for source in self.windows.positions)
        return (*self.weights.source.from_memory, *positions)

    @property
    def sections(self) -> tuple[Section, ...]:
        """Kernel groups that reduce over the same channels, in order."""
        return self.weights.sections

    @property
    def n_kg(self) -> int:
        """Kernel groups, of ``rows`` output channels."""
        return self.weights.n_kg

    @property
    def algorithm(self) -> str:
        """How people call the way in which it is computed."""
        if self.windows.images > 1:
            return f"{self.windows.images} images at once"
        return self.reduction.algorithm or self.windows.algorithm or "direct"

    @property
    def column_step(self) -> int:
        """Columns from one result to the next, where there are several."""
        first, end = self.result.own_columns(0, self.result.type.shape[2])
        return self.reduction.column_step(self.result, end - first)

    def segments(self, config: EngineConfig, section: Section) -> tuple[int, int, int]:
        """Return channel groups per kernel group, steps of a segment, and of the last group's."""
        return self.weights.segments(config, self.windows, section)

    def channel_groups(self, config: EngineConfig, block: Block) -> tuple[int, int]:
        """Return the channel groups of its operands that a block reads, as (first, end)."""
        first, end = self.weights.channel_groups(config, block)
        return self.windows.planes * first, self.windows.planes * end

    def pass_shape(self, config: EngineConfig, section: Section) -> PassShape:
        """Return what a pass runs through."""
        return self.windows.pass_shape(config, section, self.segments(config, section))

    def pass_cycles(self, config: EngineConfig, section: Section) -> int:
        """Return the cycles of one pass: ``rows`` channels of ``cols`` pixels."""
        if section.split:
            parts = window_parts(config, self.windows.stride[1], split=True)
        else:
            parts = self.windows.parts(config)
        busy = self.pass_shape(config, section).cycles(parts)
        pair = can_pair(config, self.column_step)
        return max(busy, self.reduction.shortest_pass(config, pair))

    def words(self, config: EngineConfig, section: Section, columns: int) -> int:
        """Return the output words of a row of so many results: passes of a kernel group."""
        return -(-columns // word_columns(config, section.split))

    def all_cycles(self, config: EngineConfig, rows: int, columns: int) -> int:
        """Return the cycles of all passes of some results, whose rows have words of their own."""
        return rows * sum(
            s.n_kg * self.words(config, s, columns) * self.pass_cycles(config, s)
            for s in self.sections
        )

    def saved_cycles(self, config: EngineConfig, section: Section, rows: int, columns: int) -> int:
        """Return the cycles that a kernel group takes less where rows of results share words.

        0 where they had better not, or cannot.
        """
        shared = self._shared_cycles(config, section, rows, columns)
        if shared is None:
            return 0
        own = rows * self.words(config, section, columns) * self.pass_cycles(config, section)
        return max(0, own - shared)

    def _shared_cycles(
        self, config: EngineConfig, section: Section, rows: int, columns: int
    ) -> int | None:
        """Return the cycles of passes in which rows share words; None where they cannot."""
        stride, words = self.windows.stride[1], self.words(config, section, rows * columns)
        if (
            not self.windows.on_grid
            or self._own_words
            or not can_share(config, stride, columns, section.split)
            or words > MOST_WORDS
        ):
            return None
        accesses = shared_accesses(config, stride, columns, section.split)
        busy = self.pass_shape(config, section).cycles(accesses)
        lead = accesses - self.windows.parts(config)
        pair = can_pair(config, self.column_step, columns)
        return words * max(busy, self.reduction.shortest_pass(config, pair)) + lead

    def lead_cycles(self, config: EngineConfig) -> int:
        """Return the cycles of a kernel group beside its passes."""
        return kernel_group_lead(config, self.windows.lead_parts(config))

    def input_rows(self, start: int, stop: int) -> tuple[int, int]:
        """Return the input rows that output rows ``start .. stop - 1`` read, as (first, end)."""
        return self.windows.input_rows(*self.result.own_rows(start, stop))

    def chunk(self, config: EngineConfig, whole: Chunk, *, stored: bool) -> Chunk:
        """Return how much of some output the buffers hold together, and a command can count.

        ``stored`` : results go through the output buffer.
        """
        chunk = self.windows.at_once(config, whole)
        if stored or self.reduction.partial:
            chunk = self.result.chunk(config, chunk, self.reduction.tile_rows)
        chunk = self.reduction.chunk(config, self.result, chunk)
        rows = MOST_ROWS // self.reduction.tile_rows * self.reduction.tile_rows
        each = word_columns(config, self._split)
        columns = min(MOST_COLUMNS // max(1, self.result.step[0]), MOST_WORDS * each)
        chunk = Chunk(
            min(chunk.rows, rows), min(chunk.n_kg, MOST_GROUPS), min(chunk.columns, columns)
        )
        if chunk.columns == whole.columns:
            unit = self._word_rows(config, chunk.columns)
            if unit <= chunk.rows < whole.rows:
                chunk = chunk._replace(rows=chunk.rows // unit * unit)
            return chunk
        columns = cut_at(config, chunk.columns, self.result.step[1])
        if stored and columns * self.reduction.tile_rows > config.out_depth:
            # Of results far apart, what is cut off need not begin with one; tiles always fit.
            columns = cut_at(config, chunk.columns, 1)
        return chunk._replace(columns=columns)

    def row_unit(self, config: EngineConfig, most: Chunk) -> int:
        """Return the rows of which a command has whole ones, unless it is the last.

        ``most`` : what a command computes, of :meth:`chunk`
        """
        unit = self._word_rows(config, most.columns)
        return self.reduction.tile_rows if most.rows % unit else unit

    @property
    def _split(self) -> bool:
        """Whether columns are split in some kernel groups."""
        return any(section.split for section in self.sections)

    @property
    def _own_words(self) -> bool:
        """Whether rows of results cannot share words: tiles, and rows of bytes."""
        return self.reduction.partial or self.windows.wide or self.result.wide

    def _word_rows(self, config: EngineConfig, columns: int) -> int:
        """Return after how many rows a tile ends, or a word of results that rows share."""
        if not config.shared_words or self._own_words:
            return self.reduction.tile_rows
        pixels = word_columns(config, self._split)
        return pixels // gcd(pixels, columns)
