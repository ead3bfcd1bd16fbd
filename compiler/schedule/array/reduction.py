"""How sums end: in results, by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NotRequired, TypedDict

from tilewright.compiler.schedule.array.result import Result
from tilewright.compiler.schedule.array.work import Chunk, Work
from tilewright.isa import EngineConfig
from tilewright.isa.passes import result_cycles


class ReductionFields(TypedDict):
    """What a compute command says of sums; fields of :class:`~tilewright.isa.Compute`."""

    maximum: int
    partial: NotRequired[int]
    first: NotRequired[int]
    last: NotRequired[int]
    tile_h: NotRequired[int]
    tile_w: NotRequired[int]
    last_h: NotRequired[int]
    rows_used: NotRequired[int]
    row_shift: NotRequired[int]
    row_sign: NotRequired[int]
    columns_used: NotRequired[int]
    column_shift: NotRequired[int]
    column_sign: NotRequired[int]
    negative: NotRequired[int]
    scale: NotRequired[int]
    third: NotRequired[int]
    halvings: NotRequired[int]


@dataclass(frozen=True, eq=False)
class Sum:
    """Products are added, and the sum of a pass is a result."""

    maximum: ClassVar[bool] = False
    #: Sums go to a buffer of their own before they are results.
    partial: ClassVar[bool] = False

    @property
    def results(self) -> bool:
        """Whether results follow; else these sums are a part of others."""
        return True

    def shortest_pass(self, config: EngineConfig, pair: bool) -> int:
        """Return the cycles that a pass takes at least, however little it computes.

        ``pair`` : two words of its results can leave in a cycle
        """
        return result_cycles(config, pair)

    @property
    def tile_rows(self) -> int:
        """Rows of results that are computed together."""
        return 1

    @property
    def tile_columns(self) -> int:
        """Columns of results that are computed together."""
        return 1

    @property
    def algorithm(self) -> str:
        """How people call it, where it is not direct."""
        return ""

    def column_step(self, result: Result, columns: int) -> int:
        """Return the columns from one to the next of as many own columns of a result."""
        return result.step[1] if columns > 1 else 1

    def row_step(self, result: Result, work: Work) -> int:
        """Return the rows from one result to the next."""
        return result.step[0] if work.end - work.first > 1 else 0

    def chunk(self, config: EngineConfig, result: Result, chunk: Chunk) -> Chunk:
        """Return how much of some results the buffer of sums holds together."""
        return chunk

    def fields(self, work: Work) -> ReductionFields:
        """Return what the command of some work says of its sums."""
        return {"maximum": int(self.maximum)}


@dataclass(frozen=True, eq=False)
class Largest(Sum):
    """The greatest product is the result; weights are 0 or 1."""

    maximum: ClassVar[bool] = True
