"""Softmax, and products of matrices that both depend on the inputs: attention.

A product ``x[c, p] * w[c, k]`` summed over c, of maps x with pixels p, is a convolution whose
weights are another tensor.
A softmax is a maximum, a table of exponentials, a mean, a table of reciprocals and a product.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

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
    groups, swapped = math.prod(lead), _order(rank, rank - 1, rank - 2)
    a_turned, b_turned = (builder.transposed(x, swapped) for x in (a, b))
    left, left_turned = _maps(builder, a, groups * n), _maps(builder, a_turned, groups * c)
    right, right_turned = _maps(builder, b, groups * c), _maps(builder, b_turned, groups * m)
    # Maps of which the sums' channels are channels, and weights that need not be turned, if so.
    chosen = next(
        (
            (maps, weights, turned, first)
            for maps, weights, turned, first in (
                (right, left, False, True),
                (left_turned, right_turned, False, False),
                (left_turned, right, True, False),
                (right, left_turned, True, True),
            )
            if maps is not None and weights is not None
        ),
        None,
    )
    if chosen is None and left_turned is None and right is not None:
        chosen = right, builder.reshaped(a, (groups * n, 1, c)), False, True
    if chosen is None:
        maps = (
            builder.reshaped(a_turned, (groups * c, 1, n)) if left_turned is None else left_turned
        )
        chosen = maps, builder.reshaped(b_turned, (groups * m, 1, c)), False, False
    maps, weights, turned, first = chosen
    names = tuple(builder.realized(where, view) for view in (maps, weights))
    name = builder.emit(q.MatMul(where, names, builder.unique(where), turned, groups))
    result = View((name,), (*lead, n if first else m, m if first else n))
    return result if first else builder.transposed(result, swapped)


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
    """Becomes a convolution with computed weights."""
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
