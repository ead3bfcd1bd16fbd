"""In which order the channels of a feature map lie, and in which stored values.

A feature map has ``rows`` slots per channel group. Its channels need not lie in the model's order:
a layer that computes them in another one leaves them so, and whoever reads them has its weights
arranged to match. Only the network's own outputs are put in order, by the host.

A concatenation or a selection of channels is not stored at all: it is a view of what is, and its
readers read the slots of several stored values, or some of one's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

ChannelOrder: TypeAlias = NDArray[np.int64]
"""The channel in each slot, -1 for none; a whole number of channel groups."""


@dataclass(frozen=True, eq=False)
class View:
    """Where the channels of a value lie.

    Parameters
    ----------
    parts : names of stored values, which lie one behind the other on chip
    first : int, the channel group of the first part at which the view begins
    order : ChannelOrder, from there to the last channel
    """

    parts: tuple[str, ...]
    first: int
    order: ChannelOrder

    @classmethod
    def of(cls, orders: Mapping[str, ChannelOrder], rows: int) -> View:
        """Make a view from the channel in each slot of stored values, -1 for none."""
        used = {part: order for part, order in orders.items() if (order >= 0).any()}
        order = np.concatenate(list(used.values()))
        groups = np.flatnonzero((order >= 0).reshape(-1, rows).any(1))
        first, end = int(groups[0]), int(groups[-1]) + 1
        return cls(tuple(used), first, order[first * rows : end * rows])

    def by_part(self, orders: Mapping[str, ChannelOrder], rows: int) -> dict[str, ChannelOrder]:
        """Return the channel in each slot of the parts; ``orders`` are those of stored values."""
        ends = np.cumsum([0, *(len(orders[part]) for part in self.parts)])
        slots = np.full(ends[-1], -1, np.int64)
        slots[self.first * rows :][: len(self.order)] = self.order
        return {p: slots[a:b] for p, (a, b) in zip(self.parts, pairwise(ends), strict=True)}


def natural_order(channels: int, rows: int) -> ChannelOrder:
    """Return the model's order."""
    order = np.full(-(-channels // rows) * rows, -1, np.int64)
    order[:channels] = np.arange(channels)
    return order


def multiplied_order(groups: int, per_group: int, kernels: int, rows: int) -> ChannelOrder:
    """Return the order in which segments of rows compute a group convolution.

    A group of ``per_group`` input channels sits in as many rows, so that its ``kernels`` outputs
    take ``ceil(kernels / per_group)`` turns; the outputs of one turn of all groups are neighbours.
    """
    turns = -(-kernels // per_group)
    index = np.arange(turns * per_group)
    member = np.where(index < kernels, index, -1).reshape(turns, 1, per_group)
    channel = np.arange(groups)[:, None] * kernels + member
    channel = np.where(member >= 0, channel, -1).reshape(turns, -1)
    order = np.full((turns, -(-groups * per_group // rows) * rows), -1, np.int64)
    order[:, : groups * per_group] = channel
    return order.reshape(-1)


def member_order(groups: int, per_group: int, rows: int) -> ChannelOrder:
    """Return the order with the first channels of all groups first, then the second ones."""
    order = np.full((per_group, -(-groups // rows) * rows), -1, np.int64)
    order[:, :groups] = np.arange(groups * per_group).reshape(groups, per_group).T
    return order.reshape(-1)


def nonzero(weight: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the (K, C) pairs of channels between which (K, C, R, S) weights are not all zero."""
    kernels, channels = weight.shape[:2]
    found = np.zeros((kernels, channels), bool)
    for tap in np.moveaxis(weight.reshape(kernels, channels, -1), 2, 0):
        found |= tap != 0
    return found


def alike(used: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return an order of rows in which those that are equal are neighbours, as early as the first.

    Rows that all differ stay as they are, and so do those of each kind.
    """
    packed = np.ascontiguousarray(np.packbits(used, axis=1))
    kinds = packed.view(np.dtype((np.void, packed.shape[1]))).reshape(-1)
    _, first, kind = np.unique(kinds, return_index=True, return_inverse=True)
    return np.argsort(first[kind.reshape(-1)], kind="stable")


def connected(
    order: ChannelOrder, out_order: ChannelOrder, groups: int, per_group: int, kernels: int
) -> NDArray[np.bool_]:
    """Return which (output slot, input slot) pairs belong to one group of a convolution."""
    group = np.where(order >= 0, order // per_group, -1)
    out_group = np.where(out_order >= 0, out_order // kernels, -2)
    return np.asarray(out_group[:, None] == group[None, :])
