"""In which order the channels of a feature map lie.

A feature map has ``rows`` slots per channel group. Its channels need not lie in the model's order:
a layer that computes them in another one leaves them so, and whoever reads them has its weights
arranged to match. Only the network's own outputs are put in order, by the host.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

ChannelOrder: TypeAlias = NDArray[np.int64]
"""The channel in each slot, -1 for none; a whole number of channel groups."""


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


def connected(
    order: ChannelOrder, out_order: ChannelOrder, groups: int, per_group: int, kernels: int
) -> NDArray[np.bool_]:
    """Return which (output slot, input slot) pairs belong to one group of a convolution."""
    group = np.where(order >= 0, order // per_group, -1)
    out_group = np.where(out_order >= 0, out_order // kernels, -2)
    return np.asarray(out_group[:, None] == group[None, :])
