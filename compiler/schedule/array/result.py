"""Where results go, and what becomes of them on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import TensorType
from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.work import Chunk, Work
from tilewright.isa import EngineConfig
from tilewright.isa.passes import word_columns
from tilewright.isa.wide import split_bound


class ResultFields(TypedDict):
    """What a compute command says of results; fields of :class:`~tilewright.isa.Compute`."""

    n_oy: int
    n_ox: int
    out_w: int
    zero_point: int
    qmin: int
    qmax: int
    wide_out: NotRequired[int]
    zero_point_high: NotRequired[int]
    qmin_high: NotRequired[int]
    qmax_high: NotRequired[int]


class StoredFields(TypedDict):
    """What it says of the output buffer."""

    to_out: int
    out_base: int
    out_kg_step: int
    out_row_step: int


class KeptFields(TypedDict):
    """What it says of the activation buffer."""

    to_act: int
    dst_base: int
    dst_lane: int
    dst_kg_step: int
    dst_row_step: int


NOT_STORED: StoredFields = {"to_out": 0, "out_base": 0, "out_kg_step": 0, "out_row_step": 0}
"""Results do not go to the output buffer."""

NOT_KEPT: KeptFields = {
    "to_act": 0,
    "dst_base": 0,
    "dst_lane": 0,
    "dst_kg_step": 0,
    "dst_row_step": 0,
}
"""Results do not go to the activation buffer."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """Rows and columns of a value.

    Parameters
    ----------
    value : its name
    type : TensorType of the whole value
    step, offset : (vertical, horizontal); the results are the value's rows ``offset + i * step``,
        and its columns likewise: a phase of a transposed convolution
    most : of these rows; None for all that the value has
    zero_point, qmin, qmax : int
    table : (256,) uint8, what each result's byte is replaced by, or None
    wide : results have 16 bits: each is in one row as high byte and in the next as low byte
    """

    value: str
    type: TensorType
    step: tuple[int, int] = (1, 1)
    offset: tuple[int, int] = (0, 0)
    most: int | None = None
    zero_point: int
    qmin: int
    qmax: int
    table: NDArray[np.uint8] | None = None
    wide: bool = False

    def own_rows(self, start: int, stop: int) -> tuple[int, int]:
        """Return which of its rows lie in rows ``start .. stop - 1`` of the value."""
        return own_results(start, stop, self.step[0], self.offset[0], self.most)

    def own_columns(self, left: int, right: int) -> tuple[int, int]:
        """Return which of its columns lie in columns ``left .. right - 1`` of the value."""
        return own_results(left, right, self.step[1], self.offset[1])

    def words(self, config: EngineConfig, left: int, right: int) -> int:
        """Return the words of ``cols`` results that columns ``left .. right - 1`` take in a row."""
        first, end = self.own_columns(left, right)
        return -(-(end - first) // config.cols)

    def chunk(self, config: EngineConfig, chunk: Chunk, tile_rows: int) -> Chunk:
        """Return how much of some results goes through the output buffer together.

        It takes half of the buffer if that is possible; ``tile_rows`` rows stay together.
        """
        width = chunk.columns
        if tile_rows * width > config.out_depth:
            width = max(1, config.out_depth // 2 // tile_rows)
        half = max(config.out_depth // 2, tile_rows * width)
        rows = max(tile_rows, min(chunk.rows, half // width // tile_rows * tile_rows))
        return Chunk(rows, max(1, min(chunk.n_kg, half // (rows * width))), width)

    def fields(self, config: EngineConfig, work: Work) -> ResultFields:
        """Return what the command of some work says of its results."""
        first, end = work.columns
        fields: ResultFields = {
            "n_oy": work.end - work.first,
            "n_ox": -(-(end - first) // word_columns(config, work.section.split)),
            "out_w": end - first,
            "zero_point": self.zero_point,
            "qmin": self.qmin,
            "qmax": self.qmax,
        }
        if self.wide:
            fields["wide_out"] = 1
            fields["zero_point"], fields["zero_point_high"] = split_bound(self.zero_point)
            fields["qmin"], fields["qmin_high"] = split_bound(self.qmin)
            fields["qmax"], fields["qmax_high"] = split_bound(self.qmax)
        return fields

    def stored(
        self, config: EngineConfig, work: Work, out_base: int, row_step: int
    ) -> StoredFields:
        """Return where results of some work go in the output buffer, its part from a word on."""
        width, row = work.width, self._first_row(work)
        first = ((work.block.kg - work.turn.kg) * work.rows + row) * width
        first += self._first_column(work) - work.left
        return {
            "to_out": 1,
            "out_base": (out_base + first) % config.out_depth,
            "out_kg_step": work.rows * width,
            "out_row_step": row_step * width,
        }

    def kept(self, config: EngineConfig, work: Work, ring: Ring, row_step: int) -> KeptFields:
        """Return where results of some work go in the activation buffer."""
        word, lane = divmod(self._first_column(work) - work.origin, config.cols)
        row = work.start + self._first_row(work)
        return {
            "to_act": 1,
            "dst_base": ring.base + work.block.kg * ring.words + ring.offset(row) + word,
            "dst_lane": lane,
            "dst_kg_step": ring.words,
            "dst_row_step": row_step * ring.row,
        }

    def _first_row(self, work: Work) -> int:
        """Return the first row of results, from the work's first row on."""
        return self.offset[0] + work.first * self.step[0] - work.start

    def _first_column(self, work: Work) -> int:
        """Return the column of the first result of each row."""
        return self.offset[1] + work.columns[0] * self.step[1]


def own_results(
    start: int, stop: int, step: int, offset: int, most: int | None = None
) -> tuple[int, int]:
    """Return which of ``offset, offset + step, ...`` are in ``start .. stop - 1``.

    ``most`` : there are no more of them; None if only the range ends them.
    """
    first, end = -(-(start - offset) // step), -(-(stop - offset) // step)
    if most is None:
        return first, end
    return min(max(first, 0), most), min(max(end, 0), most)
