"""A value in the activation buffer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ring:
    """For each channel group of a value a ring of rows.

    Parameters
    ----------
    base : lane word of channel group ``first``
    first, groups : the first channel group on chip, and how many there are
    rows : of each
    row : lane words of a row
    """

    base: int
    first: int
    groups: int
    rows: int
    row: int

    @property
    def words(self) -> int:
        """Lane words of one channel group."""
        return self.rows * self.row

    @property
    def size(self) -> int:
        """Lane words of all channel groups."""
        return self.groups * self.words

    def offset(self, y: int) -> int:
        """Return where row y begins in its ring."""
        return y % self.rows * self.row
