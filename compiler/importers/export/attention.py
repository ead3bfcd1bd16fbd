"""Softmax, and products of matrices that both depend on the inputs: attention.

A product ``x[c, p] * w[c, k]`` summed over c, of maps x with pixels p, is a convolution whose
weights are another tensor: every weight is a factor of its channel, and a convolution of ones adds.
A softmax is a maximum, a table of exponentials, a mean, a table of reciprocals and a product.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from tilewright.compiler.importers.export.call import Call, handles
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.reductions import reduce
from tilewright.compiler.quantized.views import index_of


def _order(rank: int, *last: int) -> list[int]:
    """Return the dimensions with some of them last."""
    return [d for d in range(rank) if d not in last] + list(last)


def _maps(builder: Builder, view: View, channels: int) -> View | None:
    """Return a view as (channels, H, W) if these are whole channels of a tensor; else None."""
    if len(view.sources) != 1:
        return None
    shape = builder.shape(view.sources[0])
    pixels = shape[1] * shape[2]
    index = index_of(view).reshape(channels, -1)
    first = index[:, :1]
    whole = index.shape[1] == pixels and not bool((first % pixels).any())
    if not whole or not np.array_equal(index, first + np.arange(pixels)):
        return None
    return builder.taken(View(view.sources, shape), (first[:, 0] // pixels).tolist(), 0)


def _normalized(builder: Builder, where: str, x: View, *dims: int) -> View:
    """``exp(x) / sum(exp(x))`` over dimensions, of which the largest is taken off first."""
    top = reduce(builder, where, x, "amax", dims, True)
    power = builder.function(where, builder.binary(where, "sub", x, top), q.Apply("exp", (q.X,)))
    mean = reduce(builder, where, power, "mean", dims, True)
    total = q.Apply("mul", (q.X, float(math.prod(x.shape[d] for d in dims))))
    inverse = builder.function(where, mean, q.Apply("reciprocal", (total,)))
    return builder.binary(where, "mul", power, inverse)


def _softmax(builder: Builder, where: str, x: View, dim: int) -> View:
    rank, count = len(x.shape), x.shape[dim]
    # All pixels of maps, if that is what they are.
    order = _order(rank, dim)
    turned = builder.transposed(x, order)
    maps = _maps(builder, turned, math.prod(turned.shape[:-1]))
    if maps is not None and maps.shape[1:] != (1, 1):
        result = builder.reshaped(_normalized(builder, where, maps, 1, 2), turned.shape)
        return builder.transposed(result, np.argsort(order).tolist())
    # Channels of maps, if that is what they are, in whatever order the tensor has them.
    for last in range(rank):
        if last == dim:
            continue
        order = _order(rank, dim, last)
        turned = builder.transposed(x, order)
        lead = math.prod(turned.shape[:-2])
        maps = _maps(builder, turned, lead * count)
        if maps is None or maps.shape[1:] == (1, 1):
            continue
        apart = builder.reshaped(maps, (lead, count, *maps.shape[1:]))
        result = _normalized(builder, where, apart, 1)
        return builder.transposed(
            builder.reshaped(result, turned.shape), np.argsort(order).tolist()
        )
    return _normalized(builder, where, x, dim)


@handles("softmax", "_softmax")
def softmax(call: Call, x: Any, dim: int, *rest: Any) -> View:
    """Becomes a maximum, tables, a mean and a product."""
    view = call.tensor(x)
    rank = len(view.shape) + 1
    if dim % rank == 0:
        call.refuse("a softmax over the batch", "Take one of images only.")
    return _softmax(call.builder, call.where, view, dim % rank - 1)


def multiplied(builder: Builder, where: str, a: View, b: View) -> View:
    """Return the matrix product of (..., n, c) and (..., c, m)."""
    rank = len(a.shape)
    lead, (n, c), m = a.shape[:-2], a.shape[-2:], b.shape[-1]
    swapped = _order(rank, rank - 1, rank - 2)
    first = builder.transposed(a, swapped)
    channels = math.prod(lead) * c
    # Of two that are maps, the one with more pixels; of none, the first one's rows become pixels.
    maps, weights, free = (_maps(builder, b, channels) if m > n else None), first, n
    if maps is None:
        maps, weights, free = _maps(builder, first, channels), b, m
    if maps is None:
        maps, weights, free = _maps(builder, b, channels), first, n
    if maps is None:
        maps, weights, free = builder.reshaped(first, (channels, 1, n)), b, m
    result = _weighted(builder, where, maps, weights, math.prod(lead), c, free)
    result = builder.reshaped(result, (*lead, free, math.prod(maps.shape[1:])))
    return builder.transposed(result, swapped) if weights is b else result


def _weighted(
    builder: Builder, where: str, maps: View, weights: View, lead: int, count: int, free: int
) -> View:
    """Return sums of ``count`` channels of maps, each by one of weights (lead, count, free)."""
    picked = torch.zeros(lead * free * count, lead * count, 1, 1, dtype=torch.float64)
    places = np.arange(lead * count).reshape(lead, 1, count)
    chosen = np.broadcast_to(places, (lead, free, count)).reshape(-1)
    picked[torch.arange(len(chosen)), torch.from_numpy(chosen.copy())] = 1
    name = builder.realized(where, maps)
    spread = builder.emit(
        q.Conv(
            where, (name,), builder.unique(where), picked, torch.zeros(len(chosen)).double(), None,
            8, (1, 1), (0, 0, 0, 0), (1, 1), 1, moves=True,
        )
    )  # fmt: skip
    factors = builder.move(
        [weights],
        lambda index: index[0].reshape(lead, count, free).transpose(0, 2, 1).reshape(-1, 1, 1),
    )
    terms = builder.binary(where, "mul", View((spread,), (len(chosen), *maps.shape[1:])), factors)
    ones = torch.ones(lead * free, count, 1, 1, dtype=torch.float64)
    return builder.conv(where, terms, ones, None, groups=lead * free)


def matrices(call: Call, a: Any, b: Any) -> View:
    """Return the product of two matrices that both depend on the inputs."""
    x, y = call.tensor(a), call.tensor(b)
    if len(x.shape) != len(y.shape) or x.shape[:-2] != y.shape[:-2] or len(x.shape) < 2:
        call.refuse(
            f"a product of tensors of shapes {x.shape} and {y.shape}",
            "Give both the same dimensions before the last two, without broadcasting.",
        )
    return multiplied(call.builder, call.where, x, y)


@handles("bmm")
def bmm(call: Call, a: Any, b: Any) -> View:
    """Becomes factors of channels and their sums."""
    return matrices(call, a, b)


@handles("scaled_dot_product_attention")
def attention(
    call: Call,
    query: Any,
    key: Any,
    value: Any,
    mask: Any = None,
    dropout: float = 0.0,
    causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> View:
    """Becomes two products of matrices and a softmax."""
    if mask is not None or causal or enable_gqa:
        call.refuse("an attention with a mask, or of shared heads", "Write it with matmul.")
    x, y, z = (call.tensor(t) for t in (query, key, value))
    builder, where, rank = call.builder, call.where, len(x.shape)
    factor = 1 / math.sqrt(x.shape[-1]) if scale is None else scale
    turned = builder.transposed(y, _order(rank, rank - 1, rank - 2))
    scores = multiplied(builder, where, x, turned)
    scores = builder.function(where, scores, q.Apply("mul", (q.X, float(factor))))
    return multiplied(builder, where, _softmax(builder, where, scores, rank - 1), z)
