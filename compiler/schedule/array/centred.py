"""Where windows come from: a map's pixels, and what takes their zero point off."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tilewright.compiler.schedule.array.windows import WindowFields, Windows
from tilewright.compiler.schedule.array.work import Chunk, Work
from tilewright.compiler.schedule.limits import MAX_DILATION
from tilewright.isa import EngineConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class CentredWindows(Windows):
    """Pixels, each with a second tap that lies outside the input, whose ``pad`` is -zero point.

    Both taps have one weight: ``weight * pixel + weight * -zero_point``. A command counts its own
    rows only, and the second tap lies below them.
    """

    kernel: tuple[int, int] = (2, 1)
    dilation: tuple[int, int] = (MAX_DILATION, 1)

    @cached_property
    def reach(self) -> tuple[int, int]:
        """Rows of the input that row 0 of the results reads, as (first, end)."""
        return 0, 1

    def at_once(self, config: EngineConfig, chunk: Chunk) -> Chunk:
        """Return how much of some results can be computed together."""
        chunk = super().at_once(config, chunk)
        return chunk._replace(rows=min(chunk.rows, MAX_DILATION))

    def rows_above(self, work: Work) -> int:
        """Return the rows from which a command counts."""
        return work.first

    def fields(self, config: EngineConfig, work: Work, *, per_group: bool) -> WindowFields:
        """Return what the command of some work says of its windows."""
        fields = super().fields(config, work, per_group=per_group)
        fields["in_h"] = work.end - work.first
        return fields
