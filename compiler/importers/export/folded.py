"""Operators on tensors of which the batch is not the first dimension, or not alone in it.

Windows, heads, frames or groups that are images of their own, ``(N * 4, C, H, W)``, and sequences
``(L, N, C)``, belong to one image each. Of one image such a tensor has one dimension fewer than
``(N, ...)`` would: what an operator does to the others, it does here with that one among them.

Of a module that is traced with one image, as its author's runs with no more, a tensor that has lost
its batch is one image's part as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tilewright.compiler.importers.export.call import HANDLERS, Call, Folded, Value, arguments
from tilewright.compiler.quantized.graph import View

_ALIGN = (
    "add sub rsub mul div maximum minimum fmax fmin pow where masked_fill addcmul max min clamp "
    "lerp".split()
)
"""Operators whose constant operands broadcast."""
_POOLS = (
    "max_pool1d", "max_pool2d", "max_pool2d_with_indices", "avg_pool1d", "avg_pool2d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "upsample_bilinear2d", "_upsample_bilinear2d_aa", "upsample_bicubic2d",
    "_upsample_bicubic2d_aa", "upsample_linear1d",
)  # fmt: skip
_CONVOLUTIONS = ("conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d")
_NORMS = ("batch_norm", "_native_batch_norm_legit_no_training")
_GROUPS = ("group_norm", "instance_norm")
_LAST = {"linear": 1, "addmm": 1, "matmul": 2, "bmm": 2, "scaled_dot_product_attention": 2}
"""Dimensions that an operator computes with, counted from the last."""
_REMEDY = "Keep the batch as the first dimension."


def outranked(name: str, args: Sequence[Any], keywords: dict[str, Any]) -> bool:
    """Whether a constant has more dimensions than the tensors that it is combined with.

    Of a tensor (N, ...) the batch is not the first dimension of the result then.
    """
    if _short(name) not in _ALIGN:
        return False
    values = _flat([*args, *keywords.values()])
    ranks = [len(v.shape) + 1 for v in values if isinstance(v, View)]
    return max((v.ndim for v in values if isinstance(v, Tensor)), default=0) > max(ranks, default=0)


def _short(name: str) -> str:
    return name.removeprefix("aten.").removesuffix("_")


def folded(call: Call, target: Any, args: Sequence[Any], keywords: dict[str, Any]) -> Value:
    """Call the handler of an operator, some of whose arguments are Folded."""
    name = _short(call.operator)
    handler = HANDLERS[call.operator]
    values = arguments(target, tuple(args), keywords)
    if name == "conv2d" and not isinstance(values[1], Tensor):
        return handler(call, *values)
    first = values[0]
    if name in (*_POOLS, *_CONVOLUTIONS, *_NORMS, *_GROUPS):
        if call.batch == 1 and isinstance(first, Folded) and _is_alone(name, first):
            one = handler(call, first.view, *values[1:])
            return _mapped(call, lambda v: Folded(v, 0, 1), one)
        if not isinstance(first, Folded) or first.axis != 0:
            call.refuse(f"{name} of a tensor whose batch is not the first dimension", _REMEDY)
        return _by_image(call, name, handler, first, values)
    return _lifted(call, target, name, handler, values)


def _is_alone(name: str, x: Folded) -> bool:
    """Whether a tensor is what an operator takes for one image, without a batch."""
    return len(x.view.shape) == (2 if name.endswith("1d") else 3) and "norm" not in name


def _by_image(
    call: Call, name: str, handler: Callable[..., Value], x: Folded, values: list[Any]
) -> Value:
    """Call the handler of an operator on images (N * k, C, ...): its channels are k times as many.

    Norms whose channels are one dimension have the k as another one.
    """
    builder, (count, channels, *rest) = call.builder, x.view.shape
    rank = len(x.view.shape)
    if name in _NORMS:
        swapped = (1, 0, *range(2, rank))
        turned = builder.transposed(x.view, swapped)
        result = handler(call, turned, *values[1:])
        return _mapped(call, lambda v: Folded(builder.transposed(v, swapped), 0, x.outer), result)
    values = [builder.reshaped(x.view, (count * channels, *rest)), *values[1:]]
    if name in _CONVOLUTIONS:
        weight = call.constant(values[1], "a convolution with weights")
        bias = call.bias(values[2])
        values[1] = weight.repeat(count, *(1,) * (weight.ndim - 1))
        values[2] = None if bias is None else bias.repeat(count)
        values[6] *= count  # groups
    elif name in _GROUPS:
        places = (2, 3) if name == "group_norm" else (1, 2, 3, 4)
        for place in places:
            if isinstance(values[place], Tensor):
                values[place] = values[place].repeat(count)
        if name == "group_norm":
            values[1] *= count

    def apart(v: View) -> Folded:
        shape = (count, v.shape[0] // count, *v.shape[1:])
        return Folded(builder.reshaped(v, shape), 0, x.outer)

    return _mapped(call, apart, handler(call, *values))


def _lifted(
    call: Call, target: Any, name: str, handler: Callable[..., Value], values: list[Any]
) -> Value:
    """Call a handler with one image's tensors, which have as many dimensions as the batch's."""
    builder = call.builder
    known = [v for v in _flat(values) if isinstance(v, Folded | View)]
    folds = [
        v if isinstance(v, Folded) else Folded(builder.reshaped(v, (1, *v.shape)), 0, 1)
        for v in known
    ]
    like = next((f for v, f in zip(known, folds, strict=True) if v is f), folds[0])
    ranks = [len(f.view.shape) for f in folds]
    if name in _ALIGN:
        ranks += [v.ndim for v in _flat(values) if isinstance(v, Tensor)]
    rank = max(ranks)
    axis = like.axis - len(like.view.shape) + rank
    for fold in folds if call.batch > 1 else ():
        if fold.axis - len(fold.view.shape) + rank != axis or fold.outer != like.outer:
            call.refuse(f"{name} of tensors whose batches are different dimensions", _REMEDY)
    count = like.view.shape[like.axis] if call.batch > 1 else 1
    dims: list[int] = []
    for place, argument in enumerate(target._schema.arguments):
        if argument.name in ("dim", "dims") and place < len(values):
            given = values[place]
            if given is None and argument.default_value is None and call.batch > 1:
                call.refuse(f"{name} over the batch", "Name the dimensions of the images.")
            listed = list(given) if isinstance(given, list | tuple) else [given]
            listed = list(range(rank)) if given is None else listed
            dims = [d % rank for d in listed]
            if axis in dims and call.batch > 1:
                call.refuse(f"{name} over the batch", "Take it over dimensions of the images.")
            values[place] = dims[0] + 1 if isinstance(given, int) else [d + 1 for d in dims]
    taken = len(values[1]) if name in ("layer_norm", "rms_norm") else _LAST.get(name, 0)
    if name in ("matmul", "bmm") and any(isinstance(v, Tensor) for v in values[:2]):
        # Rows, or columns, of the other one may be images.
        fits = axis != (rank - 1 if isinstance(values[1], Tensor) else rank - 2)
    else:
        fits = axis < rank - taken
    if not fits and call.batch > 1:
        call.refuse(f"{name} over the batch", _REMEDY)

    def own_value(v: Any) -> Any:
        if isinstance(v, Folded | View):
            view = v.view if isinstance(v, Folded) else builder.reshaped(v, (1, *v.shape))
            more = rank - len(view.shape) if name in _ALIGN else 0
            return builder.reshaped(view, (*(1,) * more, *view.shape))
        if call.batch > 1 and isinstance(v, Tensor) and name in _ALIGN and v.ndim >= rank - axis:
            return _of_image(call, v, axis - rank, count, like.outer)
        return [own_value(x) for x in v] if isinstance(v, list) else v

    result = handler(call, *map(own_value, values))

    def back(v: View) -> Folded:
        if call.batch == 1:
            return Folded(v, 0, 1)
        gone = sum(d < axis for d in dims) if len(v.shape) < rank else 0
        return Folded(v, axis - gone, like.outer)

    return _mapped(call, back, result)


def _of_image(call: Call, x: Tensor, axis: int, count: int, outer: int) -> Tensor:
    """Return one image's part of a constant that may have the batch within a dimension."""
    if x.shape[axis] == 1:
        return x
    place = axis % x.ndim
    shape = (*x.shape[:place], outer, call.batch, count // outer, *x.shape[place + 1 :])
    apart = x.reshape(shape).movedim(place + 1, 0)
    if not bool((apart == apart[:1]).all()):
        call.refuse("a constant that differs from image to image", "Give all images the same.")
    return apart[0].reshape(*x.shape[:place], count, *x.shape[place + 1 :])


def _mapped(call: Call, function: Callable[[View], Folded], result: Value) -> Value:
    """Return results as tensors of the batch; one that has it first is a View."""
    if isinstance(result, list):
        return [_mapped(call, function, v) for v in result]
    if not isinstance(result, View):
        return result
    fold = function(result)
    if fold.axis == 0 and fold.view.shape[:1] == (1,):
        return call.builder.reshaped(fold.view, fold.view.shape[1:])
    return fold


def _flat(value: Any) -> list[Any]:
    return [v for x in value for v in _flat(x)] if isinstance(value, list | tuple) else [value]


def full(x: Folded, images: Sequence[Tensor]) -> Tensor:
    """Put tensors of one image each together as the batch has them."""
    if len(images) == 1:
        return images[0]
    place, count = x.axis, x.view.shape[x.axis]
    shape = list(images[0].shape)
    apart = [*shape[:place], x.outer, count // x.outer, *shape[place + 1 :]]
    stacked = torch.stack([t.reshape(apart) for t in images], place + 1)
    shape[place] *= len(images)
    return stacked.reshape(shape)


def parted(y: Tensor, batch: int) -> list[tuple[int, int, Tensor]]:
    """Return the ways in which a tensor may hold a batch: axis, outer, and images (N, ...)."""
    if batch == 1:
        return [(0, 1, y[None])]
    found = []
    for axis, size in enumerate(y.shape):
        if size % batch:
            continue
        count = size // batch
        for outer in (n for n in range(1, count + 1) if count % n == 0):
            shape = (*y.shape[:axis], outer, batch, count // outer, *y.shape[axis + 1 :])
            images = y.reshape(shape).movedim(axis + 1, 0)
            own = (*y.shape[:axis], count, *y.shape[axis + 1 :])
            found.append((axis, outer, images.reshape(batch, *own)))
    return found
