"""Norms by the statistics of an image, in terms of means, squares and products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from tilewright.compiler.importers.export.call import Call, handles
from tilewright.compiler.importers.export.weighted import batch_norm
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.reductions import reduce

_SQUARE = q.Apply("mul", (q.X, q.X))


def _normalized(
    call: Call, x: View, dims: Sequence[int], eps: float, *, center: bool, balance: str = ""
) -> View:
    """``(x - mean) / sqrt(variance + eps)`` over dimensions of the image.

    ``balance``: of channels, the output that ``x`` is
    """
    builder, where = call.builder, call.where
    if center:
        x = builder.binary(where, "sub", x, reduce(builder, where, x, "mean", dims, True))
    power = reduce(builder, where, builder.function(where, x, _SQUARE), "mean", dims, True)
    if balance:
        source = builder.realized(where, power)
        more = builder.emit(q.Regularized(where, (source,), builder.unique(where), balance, eps))
        total = View((more,), power.shape)
    else:
        total = builder.function(where, power, q.Apply("add", (q.X, eps)))
    inverse = builder.function(where, total, q.Apply("rsqrt", (q.X,)))
    return builder.binary(where, "mul", x, inverse)


def _scaled(call: Call, x: View, weight: Any, bias: Any, shape: Sequence[int]) -> View:
    one = torch.ones(1, dtype=torch.float64)
    scale = one if weight is None else call.constant(weight, "a weight").double().reshape(shape)
    shift = one * 0 if bias is None else call.constant(bias, "a bias").double().reshape(shape)
    return call.builder.affine(call.where, x, scale, shift)


def _balanced(call: Call, x: View, groups: int) -> View:
    """Let channels before a norm of so many groups have the size that suits it."""
    builder, where = call.builder, call.where
    source = builder.realized(where, x)
    output = builder.emit(q.Balance(where, (source,), builder.unique(where), groups))
    return View((output,), x.shape)


@handles("layer_norm")
def layer_norm(
    call: Call, x: Any, normalized: Sequence[int], weight: Any, bias: Any, eps: float, *rest: Any
) -> View:
    """Becomes means, tables and products."""
    view = call.tensor(x)
    rank, count = len(view.shape), len(normalized)
    result = _normalized(call, view, range(rank - count, rank), eps, center=True)
    return _scaled(call, result, weight, bias, tuple(normalized))


@handles("rms_norm")
def rms_norm(call: Call, x: Any, normalized: Sequence[int], weight: Any, eps: Any) -> View:
    """Becomes means, tables and products."""
    view = call.tensor(x)
    rank, count = len(view.shape), len(normalized)
    eps = torch.finfo(torch.float32).eps if eps is None else eps
    result = _normalized(call, view, range(rank - count, rank), eps, center=False)
    return _scaled(call, result, weight, None, tuple(normalized))


@handles("group_norm")
def group_norm(
    call: Call, x: Any, groups: int, weight: Any, bias: Any, eps: float, *rest: Any
) -> View:
    """Becomes means, a table and one factor per channel."""
    view = _balanced(call, call.tensor(x), groups)
    split = (groups, view.shape[0] // groups, *view.shape[1:])
    apart = call.builder.reshaped(view, split)
    (source,) = view.sources
    result = _normalized(call, apart, range(1, len(split)), eps, center=True, balance=source)
    whole = call.builder.reshaped(result, view.shape)
    return _scaled(call, whole, weight, bias, (-1, *(1,) * (len(view.shape) - 1)))


@handles("instance_norm")
def instance_norm(
    call: Call, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, by_input: bool,
    momentum: float, eps: float, *rest: Any,
) -> View:  # fmt: skip
    """Becomes means, a table and one factor per channel; with running statistics Affine."""
    view = call.tensor(x)
    if not by_input:
        result: View = batch_norm(
            call, view, weight, bias, mean, variance, False, momentum, eps, False
        )
        return result
    view = _balanced(call, view, view.shape[0])
    (source,) = view.sources
    result = _normalized(call, view, range(1, len(view.shape)), eps, center=True, balance=source)
    return _scaled(call, result, weight, bias, (-1, *(1,) * (len(view.shape) - 1)))


@handles("linalg_vector_norm", "norm")
def vector_norm(
    call: Call, x: Any, order: float, dims: Any = None, keep: bool = False, *rest: Any
) -> View:
    """Becomes a sum of squares and a table."""
    if order not in (1, 2):
        call.refuse(f"a norm of order {order}", "Use the order 1 or 2.")
    view = call.tensor(x)
    rank = len(view.shape) + 1
    over = sorted(d % rank for d in ([dims] if isinstance(dims, int) else dims or range(rank)))
    if 0 in over:
        call.refuse("a norm over the batch", "Take norms of the images only.")
    inner = _SQUARE if order == 2 else q.Apply("abs", (q.X,))
    squares = call.builder.function(call.where, view, inner)
    # The mean, whose range is the tensor's, and not the sum, which would leave the table's.
    mean = reduce(call.builder, call.where, squares, "mean", [d - 1 for d in over], keep)
    count = math.prod(view.shape[d - 1] for d in over)
    total = q.Apply("mul", (q.X, float(count)))
    outer = q.Apply("sqrt", (total,)) if order == 2 else total
    return call.builder.function(call.where, mean, outer)


@handles("var", "std")
def spread(
    call: Call, x: Any, dims: Any = None, correction: Any = None, keep: bool = False
) -> View:
    """Becomes means, squares and, of a deviation, a table."""
    return _moments(call, x, dims, correction, keep, root="std" in call.operator)[0]


@handles("var_mean", "std_mean")
def spread_and_mean(
    call: Call, x: Any, dims: Any = None, correction: Any = None, keep: bool = False
) -> list[View]:
    """Becomes means, squares and, of a deviation, a table."""
    return _moments(call, x, dims, correction, keep, root="std" in call.operator)


def _moments(
    call: Call, x: Any, dims: Any, correction: Any, keep: bool, *, root: bool
) -> list[View]:
    """Return variance, or its root, and mean."""
    builder, where, view = call.builder, call.where, call.tensor(x)
    rank = len(view.shape) + 1
    given = [dims] if isinstance(dims, int) and not isinstance(dims, bool) else dims
    over = sorted(d % rank for d in (given if isinstance(given, list | tuple) else range(rank)))
    if 0 in over:
        call.refuse("a variance over the batch", "Name dimensions of the images.")
    axes = [d - 1 for d in over]
    mean = reduce(builder, where, view, "mean", axes, True)
    power = builder.function(where, builder.binary(where, "sub", view, mean), _SQUARE)
    variance = reduce(builder, where, power, "mean", axes, keep)
    count = math.prod(view.shape[a] for a in axes)
    less = 1 if correction is None else int(correction)
    if less >= count:
        call.refuse(f"a variance of {count} elements, less {less}", "Use correction=0.")
    total = q.Apply("mul", (q.X, count / (count - less)))
    result = builder.function(where, variance, q.Apply("sqrt", (total,)) if root else total)
    kept = [1 if d in axes else n for d, n in enumerate(view.shape) if keep or d not in axes]
    return [result, builder.reshaped(mean, kept)]
