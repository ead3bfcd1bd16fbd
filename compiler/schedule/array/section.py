"""Kernel groups that reduce over the same channels, and those that are worked on together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.halves import split_words


class Block(NamedTuple):
    """Kernel groups ``kg .. kg + n_kg - 1``; a tuple, since costs are looked up by it."""

    kg: int
    n_kg: int

    @property
    def end(self) -> int:
        """The first kernel group after it."""
        return self.kg + self.n_kg

    @property
    def kernel_groups(self) -> range:
        """Its kernel groups."""
        return range(self.kg, self.end)


@dataclass(frozen=True, kw_only=True, eq=False)
class Section:
    """Kernel groups of an operation that reduce over the same channels.

    Parameters
    ----------
    kg : int, the first kernel group, counted over the operation
    cg : int, the first channel group read, counted over the operand
    channels : int, channels reduced over, from the first of group ``cg``
    tap : the one tap of the kernel that it reads, counted row by row; None for all
    fold : how often the rows are halved: those of a half sum other channels of the same outputs
    split : the upper half of the columns sums other channels of the pixels of the lower half
    weights : (n_kg, steps, rows), the weight words of each kernel group, as they are read where
        columns are not split
    """

    kg: int
    cg: int
    channels: int
    tap: int | None = None
    fold: int = 0
    split: bool = False
    weights: NDArray[np.int16]

    @property
    def n_kg(self) -> int:
        """Kernel groups, of ``rows`` output channels."""
        return int(self.weights.shape[0])

    @property
    def steps(self) -> int:
        """Steps of a pass, each with a weight word, where columns are not split."""
        return int(self.weights.shape[1])

    @property
    def words(self) -> int:
        """Weight words of a kernel group in the buffer."""
        if not self.split:
            return self.steps
        rows = int(self.weights.shape[2])
        whole, rest = divmod(self.channels, rows)
        return self.steps // self.channels * (whole * rows + min(2 * rest, rows))

    @property
    def whole(self) -> Section:
        """The same, of columns that are not split."""
        return replace(self, split=False) if self.split else self

    def weight_words(self, kg: int) -> NDArray[np.int16]:
        """Return the weight words of a kernel group as they lie in the buffer."""
        words: NDArray[np.int16] = self.weights[kg - self.kg]
        if not self.split:
            return words
        return split_words(words, self.steps // self.channels, self.channels)

    def common(self, block: Block) -> Block | None:
        """Return the kernel groups that are also in a block, or None."""
        low, high = max(self.kg, block.kg), min(self.kg + self.n_kg, block.end)
        return Block(low, high - low) if low < high else None
