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
from tilewright.compiler.quantized.views import Layout

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
    layout = builder.layout(view)
    if layout is None:
        view = View((builder.realized(where, view),), view.shape)
        layout = builder.layout(view)
    if layout is None or not _fits(view, layout, over):
        # What is reduced becomes channels.
        kept = [d for d in range(rank) if d not in over]
        turned = builder.transposed(view, (*over, *kept))
        counts = [math.prod(view.shape[d] for d in part) for part in (over, kept)]
        flat = builder.reshaped(turned, (counts[0], 1, counts[1]))
        x = View((builder.realized(where, flat),), flat.shape)
        return builder.reshaped(_channels(builder, where, x, kind, flat.shape[:1], [0]), result)
    x = builder.maps(view, layout)
    x = View((builder.realized(where, x),), x.shape)
    outer, inner = layout.order[: layout.channels], layout.order[layout.channels :]
    kernel = _kernel(layout, inner, over)
    if kernel != (1, 1):
        x = _pooled(builder, where, x, kind, kernel)
    channels = [place for place, d in enumerate(outer) if d in over]
    if channels:
        x = _channels(builder, where, x, kind, layout.sizes(view.shape)[0], channels)
    kept = [d for d in layout.order if d not in over]
    x = builder.reshaped(x, [view.shape[d] for d in kept])
    return builder.reshaped(builder.transposed(x, np.argsort(kept).tolist()), result)


def _fits(view: View, layout: Layout, over: Sequence[int]) -> bool:
    """Whether of the pixels all, none, rows or columns are reduced."""
    inner = layout.order[layout.channels :]
    reduced = [d for d in inner if d in over]
    return len(reduced) in (0, len(inner)) or layout.sizes(view.shape)[1] == list(layout.pixels)


def _kernel(layout: Layout, inner: Sequence[int], over: Sequence[int]) -> q.Pair:
    """Rows and columns that are reduced together."""
    height, width = layout.pixels
    reduced = [d in over for d in inner]
    if not any(reduced):
        return 1, 1
    if all(reduced):
        return height, width
    return (height, 1) if reduced[0] else (1, width)


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
