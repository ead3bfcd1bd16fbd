"""What one compute command covers of an operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.section import Block, Section


@dataclass(frozen=True, kw_only=True)
class Work:
    """Some kernel groups of a section, and some rows.

    Parameters
    ----------
    section : Section
    block : its kernel groups
    part : all kernel groups that go through the output buffer together; ``block`` is among them
    start, stop : rows of the stage's output, ``start .. stop - 1``
    first, end : rows of the operation's own results among them
    cg : the first channel group that is read, counted over the operand
    rings : of the operands
    """

    section: Section
    block: Block
    part: Block
    start: int
    stop: int
    first: int
    end: int
    cg: int
    rings: Sequence[Ring]

    @property
    def rows(self) -> int:
        """Rows of the stage's output."""
        return self.stop - self.start
