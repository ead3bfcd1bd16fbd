"""Softmax, and products of matrices that both depend on the inputs: attention.

A product ``x[c, p] * w[c, k]`` summed over c, of maps x with pixels p, is a convolution whose
weights are another tensor.
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

_MOST_MATRICES = 32
"""Constant ones that are multiplied one by one."""
NOTHING = -50.0
"""Masks with less than this leave nothing of an element."""


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


def _normalized(
    builder: Builder, where: str, x: View, *dims: int, keep: torch.Tensor | None = None
) -> View:
    """``exp(x) / sum(exp(x))`` over dimensions, of which the largest is taken off first.

    ``keep``: of x's shape, zero where an element does not count.
    """
    top = reduce(builder, where, x, "amax", dims, True)
    power = builder.function(where, builder.binary(where, "sub", x, top), q.Apply("exp", (q.X,)))
    if keep is not None:
        power = builder.affine(where, power, keep, torch.zeros_like(keep))
    mean = reduce(builder, where, power, "mean", dims, True)
    total = q.Apply("mul", (q.X, float(math.prod(x.shape[d] for d in dims))))
    inverse = builder.function(where, mean, q.Apply("reciprocal", (total,)))
    return builder.binary(where, "mul", power, inverse)


def _softmax(
    builder: Builder, where: str, x: View, dim: int, keep: torch.Tensor | None = None
) -> View:
    rank, count = len(x.shape), x.shape[dim]
    if keep is not None:
        return _normalized(builder, where, x, dim, keep=keep)
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
    view, keep = _unmasked(call.builder, call.where, view)
    return _softmax(call.builder, call.where, view, dim % rank - 1, keep)


def _unmasked(builder: Builder, where: str, x: View) -> tuple[View, torch.Tensor | None]:
    """Take off what was added to hide elements, as -100 between windows or -1e4 before a token.

    With it, all elements would share a grid of that size. Returns the tensor without, and zero
    where an element does not count.
    """
    op = next((op for op in reversed(builder.ops) if op.output == x.sources[0]), None)
    if len(x.sources) > 1 or not isinstance(op, q.Binary) or op.function != "add":
        return x, None
    constants = {c.output: c for c in builder.ops if isinstance(c, q.Constant)}
    mask = next((constants[name] for name in op.inputs if name in constants), None)
    scores = next((name for name in op.inputs if name not in constants), None)
    index = index_of(x)
    if mask is None or scores is None or int(index.min()) < 0:
        return x, None
    kept = (mask.value > NOTHING).double()
    keep = kept.reshape(-1)[torch.from_numpy(index.reshape(-1))].reshape(x.shape)
    if bool(keep.all()):
        return x, None
    rest = mask.value * kept
    if bool(rest.any()):
        shape = builder.shape(scores)
        more = builder.constant(where, rest, shape).sources[0]
        scores = builder.emit(q.Binary(where, (scores, more), builder.unique(where), "add"))
    return View((scores,), x.shape, x.index), keep


def _by_pixel(builder: Builder, where: str, vector: View, matrix: View) -> View | None:
    """Return matrices as maps like those of vectors, if each pixel has one of its own."""
    layout, rank = builder.layout(vector), len(vector.shape)
    lead = [d for d in range(rank - 2) if vector.shape[d] > 1]
    if (
        layout is None
        or [d for d in layout.order[layout.channels :] if vector.shape[d] > 1] != lead
    ):
        return None
    if math.prod(layout.pixels) == 1 or math.prod(vector.shape[:-2]) != math.prod(layout.pixels):
        return None
    order = [rank - 2, rank - 1, *range(rank - 2)]
    turned = builder.transposed(matrix, order)
    maps = builder.reshaped(turned, (math.prod(matrix.shape[-2:]), *layout.pixels))
    own = View((builder.realized(where, maps),), maps.shape)
    return builder.transposed(builder.reshaped(own, turned.shape), np.argsort(order).tolist())


def multiplied(builder: Builder, where: str, a: View, b: View) -> View:
    """Return the matrix product of (..., n, c) and (..., c, m)."""
    rank = len(a.shape)
    lead, (n, c), m = a.shape[:-2], a.shape[-2:], b.shape[-1]
    groups, swapped = math.prod(lead), _order(rank, rank - 1, rank - 2)
    if m == 1 != n and (own := _by_pixel(builder, where, b, a)) is not None:
        product = builder.binary(where, "mul", own, builder.transposed(b, swapped))
        return reduce(builder, where, product, "sum", [rank - 1], True)
    if n == 1 != m and (own := _by_pixel(builder, where, a, b)) is not None:
        product = builder.binary(where, "mul", builder.transposed(a, swapped), own)
        return reduce(builder, where, product, "sum", [rank - 2], True)
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
    """Return the product of two matrices, of which one or none is constant."""
    builder = call.builder
    if isinstance(b, torch.Tensor) and math.prod(b.shape[:-2]) == 1:
        return builder.linear(call.where, call.tensor(a), b.reshape(b.shape[-2:]).T, None)
    if isinstance(a, torch.Tensor) and math.prod(a.shape[:-2]) == 1 and isinstance(b, View):
        rank = len(b.shape)
        turned = _order(rank, rank - 1, rank - 2)
        x = builder.linear(call.where, builder.transposed(b, turned), a.reshape(a.shape[-2:]), None)
        return builder.transposed(x, turned)
    if isinstance(b, torch.Tensor) and math.prod(b.shape[:-2]) <= _MOST_MATRICES:
        return _by_constants(call, call.tensor(a), b)
    if isinstance(a, torch.Tensor) and math.prod(a.shape[:-2]) <= _MOST_MATRICES:
        y = call.tensor(b)
        turned = _order(len(y.shape), len(y.shape) - 1, len(y.shape) - 2)
        x = _by_constants(call, builder.transposed(y, turned), a.transpose(-1, -2))
        return builder.transposed(x, turned)
    x, y = call.tensor(a), call.tensor(b)
    if min(len(x.shape), len(y.shape)) > 1:
        lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        x, y = (_broadcast(call.builder, t, (*lead, *t.shape[-2:])) for t in (x, y))
    if len(x.shape) != len(y.shape) or x.shape[:-2] != y.shape[:-2] or len(x.shape) < 2:
        call.refuse(
            f"a product of tensors of shapes {x.shape} and {y.shape}",
            "Give both at least two dimensions besides the batch.",
        )
    return multiplied(call.builder, call.where, x, y)


def _by_constants(call: Call, x: View, weight: torch.Tensor) -> View:
    """Return the products of matrices with as many constant ones."""
    builder = call.builder
    w = call.image(weight) if weight.ndim > len(x.shape) else weight
    lead = np.broadcast_shapes(x.shape[:-2], w.shape[:-2])
    x, w = _broadcast(builder, x, (*lead, *x.shape[-2:])), w.broadcast_to(*lead, *w.shape[-2:])
    flat = builder.reshaped(x, (math.prod(lead), *x.shape[-2:]))
    parts = []
    for place, own in enumerate(w.reshape(-1, *w.shape[-2:])):
        one = builder.reshaped(builder.taken(flat, [place], 0), flat.shape[1:])
        parts.append(builder.linear(call.where, one, own.T, None))
    stacked = builder.move(parts, np.stack)
    return builder.reshaped(stacked, (*lead, *stacked.shape[1:]))


def _broadcast(builder: Builder, x: View, shape: tuple[int, ...]) -> View:
    if x.shape == shape:
        return x
    return builder.move([x], lambda places: np.broadcast_to(places[0], shape))


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
    if enable_gqa or isinstance(mask, View):
        call.refuse("an attention of shared heads, or with a mask that is computed",
                    "Write it with matmul and softmax.")  # fmt: skip
    x, y, z = (call.tensor(t) for t in (query, key, value))
    builder, where, rank = call.builder, call.where, len(x.shape)
    factor = 1 / math.sqrt(x.shape[-1]) if scale is None else scale
    turned = builder.transposed(y, _order(rank, rank - 1, rank - 2))
    scores = multiplied(builder, where, x, turned)
    scores = builder.function(where, scores, q.Apply("mul", (q.X, float(factor))))
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    keep: torch.Tensor | None = None
    if mask is not None and mask.dtype == torch.bool:
        keep = call.beside(mask, scores.shape).double()
    elif mask is not None:
        full = call.beside(mask, scores.shape).double()
        keep = (full > NOTHING).double()
        more = torch.where(full > NOTHING, full, 0.0)
        scores = builder.affine(where, scores, torch.ones_like(more), more)
    keep = None if keep is None or bool(keep.all()) else keep
    return multiplied(builder, where, _softmax(builder, where, scores, rank - 1, keep), z)
