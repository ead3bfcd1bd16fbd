"""What one compute command covers of an operation, and how much the buffers hold at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lcm
from typing import NamedTuple

from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.section import Block, Section
from tilewright.isa import EngineConfig

#: Rows, words of ``cols`` columns, kernel groups and columns that a command can count.
MOST_ROWS = MOST_WORDS = MOST_GROUPS = (1 << 12) - 1
MOST_COLUMNS = (1 << 13) - 1


class Chunk(NamedTuple):
    """An amount of results: rows, kernel groups, and columns of the stage's output."""

    rows: int
    n_kg: int
    columns: int


def cut_at(config: EngineConfig, columns: int, step: int) -> int:
    """Return the most columns up to a number, or the least, after which a row can be cut.

    Whole words of results that are ``step`` columns apart, if they fit; else whole tiles. What
    follows begins with a beat of the bus.
    """
    least = lcm(step, config.beat_pixels)
    whole = lcm(least, step * config.cols)
    unit = whole if whole <= columns else least
    return max(columns // unit * unit, unit)


def evenly(total: int, most: int, unit: int = 1) -> int:
    """Return the size of parts that are about alike, of as few as can be.

    A small part behind large ones would be done before the store unit is, and leave it without work
    while the next is computed.

    Parameters
    ----------
    total : at least 1
    most : of a part, whole units
    unit : of which all parts but the last have whole ones
    """
    parts = -(-total // most)
    return -(-total // (parts * unit)) * unit


def even_parts(total: int, most: int, unit: int = 1) -> Iterator[tuple[int, int]]:
    """Yield the sizes of such parts, and how many there are of each; as :func:`evenly`."""
    size = evenly(total, most, unit)
    whole, rest = divmod(total, size)
    if whole:
        yield size, whole
    if rest:
        yield rest, 1


@dataclass(frozen=True, kw_only=True)
class Work:
    """Some kernel groups of a section, and some rows and columns.

    Parameters
    ----------
    section : Section
    block : its kernel groups
    turn : all kernel groups that go through the output buffer together; ``block`` is among them
    start, stop : rows of the stage's output, ``start .. stop - 1``
    first, end : rows of the operation's own results among them
    left, right : columns of the stage's output, ``left .. right - 1``
    columns : of the operation's own results among them, as (first, end)
    origin : the output's column with which its rows on chip begin
    held : columns of the operands that are on chip, as (first, end)
    cg : the first channel group that is read, counted over the operand
    rings : of the operands
    """

    section: Section
    block: Block
    turn: Block
    start: int
    stop: int
    first: int
    end: int
    left: int
    right: int
    columns: tuple[int, int]
    origin: int
    held: tuple[int, int]
    cg: int
    rings: Sequence[Ring]

    @property
    def rows(self) -> int:
        """Rows of the stage's output."""
        return self.stop - self.start

    @property
    def width(self) -> int:
        """Columns of the stage's output."""
        return self.right - self.left
