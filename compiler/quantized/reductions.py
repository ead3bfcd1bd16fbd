"""Means, sums and extremes over any dimensions, as pools and convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.views import canonical, in_order
from tilewright.errors import UnsupportedError

Reduction = Literal["mean", "sum", "amax", "amin"]


def reduce(
    builder: Builder, where: str, view: View, kind: Reduction, dims: Sequence[int], keep: bool
) -> View:
    """Mean, sum or extreme over ``dims`` of the view's shape."""
    rank = len(view.shape)
    over = sorted({d % rank for d in dims})
    result = tuple(1 if d in over else n for d, n in enumerate(view.shape) if keep or d not in over)
    if kind == "amin":
        minus = builder.function(where, view, q.Apply("mul", (q.X, -1.0)))
        most = reduce(builder, where, minus, "amax", dims, keep)
        return builder.function(where, most, q.Apply("mul", (q.X, -1.0)))
    order = in_order(view)
    if order is not None and order != tuple(range(rank)):
        view = builder.transposed(view, order)
        over = [order.index(d) for d in over]
        if sorted(set(range(rank)) - set(over), key=lambda d: order[d]) != sorted(
            set(range(rank)) - set(over)
        ):
            raise UnsupportedError(
                where, f"a {kind} over dimensions of a permuted tensor", "Permute after it."
            )
    source = view.sources[0]
    lead = max(1, rank - 2)
    whole = view.index is None and [
        d for d in range(rank) if math.prod(view.shape[:d]) == builder.shape(source)[0]
    ]
    if whole and min(over) >= whole[0] and over == list(range(over[0], rank)) and over[0] in whole:
        x = View((source,), builder.shape(source))  # all pixels of every channel
        pooled = _pooled(builder, where, x, kind, builder.shape(source)[1:])
        return builder.reshaped(pooled, result)
    shape = canonical(view.shape)
    x = View((builder.realized(where, view),), shape)
    pixels = [d for d in over if d >= lead]
    if pixels:
        sizes = {lead: shape[1], lead + 1: shape[2]} if rank > 2 else {1: shape[2]}
        kernel = tuple(sizes.get(d, 1) if d in pixels else 1 for d in (lead, lead + 1))
        if rank == 2:
            kernel = (1, shape[2])
        x = _pooled(builder, where, x, kind, (kernel[0], kernel[1]))
    channels = [d for d in over if d < lead]
    if channels:
        x = _channels(builder, where, x, kind, view.shape[:lead], channels)
    return builder.reshaped(x, result)


def _pooled(builder: Builder, where: str, view: View, kind: Reduction, kernel: q.Pair) -> View:
    if kind == "amax":
        return builder.max_pool(where, view, kernel, kernel, (0, 0, 0, 0))
    divisor = 1.0 if kind == "sum" else float(kernel[0] * kernel[1])
    return builder.avg_pool(where, view, kernel, kernel, (0, 0, 0, 0), divisor)


def _channels(
    builder: Builder,
    where: str,
    view: View,
    kind: Reduction,
    lead: Sequence[int],
    over: Sequence[int],
) -> View:
    """Reduce dimensions that make up the channels."""
    places = np.arange(math.prod(lead)).reshape(lead)
    kept = [d for d in range(len(lead)) if d not in over]
    groups = places.transpose([*kept, *over]).reshape(math.prod(lead[d] for d in kept), -1)
    if kind == "amax":
        # Member after member of all groups: halves of them at once.
        results, count = groups.shape
        rest = builder.taken(view, groups.T.reshape(-1).tolist(), 0)
        while count > 1:
            half = count // 2
            ends = [0, half * results, 2 * half * results, count * results]
            low, high, odd = (
                builder.taken(rest, range(first, end), 0) for first, end in pairwise(ends)
            )
            rest = builder.binary(where, "maximum", low, high)
            if count % 2:
                rest = builder.move([rest, odd], np.concatenate)
            count -= half
        return rest
    weight = torch.zeros(len(groups), math.prod(lead), dtype=torch.float64)
    factor = 1.0 if kind == "sum" else 1.0 / groups.shape[1]
    for k, members in enumerate(groups):
        weight[k, torch.from_numpy(members.copy())] = factor
    return builder.conv(where, view, weight[:, :, None, None], None)
