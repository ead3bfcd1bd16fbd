"""Kernel groups that reduce over the same channels, and those that are worked on together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


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
    weights : (n_kg, steps, rows), the weight words of each kernel group
    """

    kg: int
    cg: int
    channels: int
    tap: int | None = None
    fold: int = 0
    weights: NDArray[np.int16]

    @property
    def n_kg(self) -> int:
        """Kernel groups, of ``rows`` output channels."""
        return int(self.weights.shape[0])

    @property
    def steps(self) -> int:
        """Weight words of a kernel group: cycles in which a pass multiplies."""
        return int(self.weights.shape[1])

    def common(self, block: Block) -> Block | None:
        """Return the kernel groups that are also in a block, or None."""
        low, high = max(self.kg, block.kg), min(self.kg + self.n_kg, block.end)
        return Block(low, high - low) if low < high else None
