"""Operations that together compute one value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

from tilewright.compiler.ir import TensorType
from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.result import own_results
from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.array.weights import WeightSource
from tilewright.compiler.schedule.array.windows import Operand, clipped
from tilewright.isa import EngineConfig

_Reaches: TypeAlias = "dict[tuple[_Own, int, tuple[int, int]], tuple[int, int]]"
"""From which results are an operation's, their stride and what bounds the input, to where result 0
reads, as (first, end)."""

_Own: TypeAlias = tuple[int, int, int | None]
"""Step and offset of results, and the most there are, if they are not all that a value has."""


@dataclass(frozen=True, eq=False)
class Stage:
    """Operations that together compute one value, from the same inputs.

    One, or the value's phases, or the terms of its tiles, which are in order.
    """

    ops: tuple[ArrayOp, ...]

    @property
    def name(self) -> str:
        """The layer's module path."""
        return self.ops[0].name

    @property
    def operands(self) -> tuple[Operand, ...]:
        """What is read, by every operation alike."""
        return self.ops[0].windows.operands

    @property
    def neighbours(self) -> tuple[tuple[str, str], ...]:
        """Values that must lie on chip one right behind the other."""
        return self.ops[0].windows.neighbours

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Values read, each once."""
        return self.ops[0].inputs

    @cached_property
    def positions(self) -> tuple[str, ...]:
        """Offsets and masks, of which the rows of the output are read."""
        return tuple(source.value for source in self.ops[0].windows.positions)

    @cached_property
    def output(self) -> str:
        """The value written."""
        return self.ops[0].output

    @cached_property
    def sources(self) -> tuple[WeightSource, ...]:
        """Weights that are loaded for it, each once."""
        return tuple(dict.fromkeys(op.weights.source for op in self.ops))

    @property
    def n_kg(self) -> int:
        """Kernel groups, of ``rows`` output channels."""
        return self.ops[0].n_kg

    @cached_property
    def tile_rows(self) -> int:
        """Rows of results that are computed together."""
        return self.ops[0].reduction.tile_rows

    def computing(self, rows: int) -> list[ArrayOp]:
        """Return the operations that have results among so many rows."""
        own = ((op, op.result.own_rows(0, rows)) for op in self.ops)
        return [op for op, (first, end) in own if first < end]

    @cached_property
    def output_type(self) -> TensorType:
        """Type of the value written."""
        return self.ops[0].result.type

    def input_rows(self, start: int, stop: int) -> tuple[int, int]:
        """Return the input rows that output rows ``start .. stop - 1`` read, as (first, end).

        Plans ask for the same rows again and again.
        """
        known = self._input_rows.get((start, stop))
        if known is None:
            known = self._input_rows[start, stop] = self._rows_read(start, stop)
        return known

    @cached_property
    def _input_rows(self) -> dict[tuple[int, int], tuple[int, int]]:
        """What was asked for."""
        return {}

    def _rows_read(self, start: int, stop: int) -> tuple[int, int]:
        if self.ops[0].windows.images > 1:  # then it is the only one
            return self.ops[0].input_rows(start, stop)
        return _read(self._row_reaches, start, stop)

    def input_columns(self, left: int, right: int) -> tuple[int, int]:
        """Return the input columns that output columns ``left .. right - 1`` read, at least one.

        Where only padding is read, that is the nearest column.
        """
        width = self.ops[0].windows.type.shape[2]
        first, end = _read(self._column_reaches, left, right)
        first = min(first, width - 1)
        return first, max(end, first + 1)

    @cached_property
    def _row_reaches(self) -> _Reaches:
        """Input rows from and to which operations of the same rows of results read."""
        return _reaches(
            (
                (
                    (op.result.step[0], op.result.offset[0], op.result.most),
                    op.windows.stride[0],
                    op.windows.bounds,
                ),
                op.windows.reach,
            )
            for op in self.ops
        )

    @cached_property
    def _column_reaches(self) -> _Reaches:
        """The same of columns."""
        return _reaches(
            (
                (
                    (op.result.step[1], op.result.offset[1], None),
                    op.windows.stride[1],
                    (0, op.windows.type.shape[2]),
                ),
                op.windows.column_reach,
            )
            for op in self.ops
        )

    @lru_cache(maxsize=65536)  # noqa: B019 - stages live as long as the process compiles
    def block_words(self, config: EngineConfig, block: Block) -> int:
        """Return the weight words of a block, of all that is loaded for it."""
        return sum(source.block_words(config, block) for source in self.sources)

    @lru_cache(maxsize=65536)  # noqa: B019
    def widest_words(self, config: EngineConfig) -> int:
        """Return the weight words of the largest kernel group."""
        return max(self.block_words(config, Block(kg, 1)) for kg in range(self.n_kg))

    @lru_cache(maxsize=65536)  # noqa: B019
    def channel_groups(self, config: EngineConfig, block: Block) -> tuple[int, int]:
        """Return the channel groups of its operands that a block reads, as (first, end)."""
        spans = [op.channel_groups(config, block) for op in self.ops]
        return min(first for first, _ in spans), max(end for _, end in spans)

    @lru_cache(maxsize=65536)  # noqa: B019
    def weight_bytes(self, config: EngineConfig) -> int:
        """Return the bytes of its weights in memory."""
        return sum(source.size_bytes(config) for source in self.sources)


def _reaches(
    found: Iterable[tuple[tuple[_Own, int, tuple[int, int]], tuple[int, int]]],
) -> _Reaches:
    """Return the hull of the reaches of each kind."""
    result: _Reaches = {}
    for key, (first, end) in found:
        known = result.get(key, (first, end))
        result[key] = min(known[0], first), max(known[1], end)
    return result


def _read(reaches: _Reaches, start: int, stop: int) -> tuple[int, int]:
    """Return what results ``start .. stop - 1`` read along an axis of the input."""
    spans: list[tuple[int, int]] = []
    nothing: list[tuple[int, int]] = []
    for (own, stride, bounds), (above, below) in reaches.items():
        low, high = own_results(start, stop, *own)
        read = clipped(bounds, low * stride + above, (high - 1) * stride + below)
        (spans if high > low else nothing).append(read)
    if spans:
        return min(first for first, _ in spans), max(end for _, end in spans)
    first = min(first for first, _ in nothing)
    return first, first
