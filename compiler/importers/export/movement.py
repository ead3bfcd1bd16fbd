"""Everything that only moves elements: done to the elements' places, by the operator itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.importers.export.call import Call, Folded, handles
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.views import joined, moved

MOVING = frozenset(
    f"aten.{name}"
    for name in (
        "view", "reshape", "_unsafe_view", "permute", "transpose", "t", "slice", "select",
        "unsqueeze", "squeeze", "expand", "expand_as", "flatten", "unflatten", "split",
        "split_with_sizes", "chunk", "unbind", "cat", "concat", "concatenate", "stack", "roll",
        "flip", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle",
        "im2col", "constant_pad_nd", "pad", "reflection_pad1d", "reflection_pad2d",
        "replication_pad1d", "replication_pad2d", "repeat", "repeat_interleave", "index_select",
        "index", "narrow", "movedim", "moveaxis", "swapaxes", "diagonal", "tile", "tensor_split",
        "hsplit", "vsplit", "clone", "contiguous", "alias", "detach", "lift_fresh_copy",
        "lift_fresh", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
        "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d",
        "rot90", "unfold", "gather", "take_along_dim", "numpy_T",
        "dropout", "dropout_", "feature_dropout", "feature_dropout_", "alpha_dropout",
        "alpha_dropout_", "feature_alpha_dropout", "feature_alpha_dropout_", "native_dropout",
        "view_as", "reshape_as", "slice_copy", "atleast_1d", "atleast_2d", "atleast_3d",
        "slice_scatter", "select_scatter", "copy", "unsafe_split", "unsafe_chunk", "hstack",
        "vstack",
    )
)  # fmt: skip
"""ATen operators whose result consists of elements of their arguments, and zeros."""


_WRITING = ("slice_scatter", "select_scatter", "copy")


def move(call: Call, target: Any, args: Sequence[Any], keywords: dict[str, Any]) -> Any:
    """Run an operator on the places of its arguments' elements.

    Constants among the arguments become tensors of the graph. Images must stay apart and the batch
    the first dimension.
    """
    name = call.operator.removeprefix("aten.").removesuffix("_")
    if name.endswith("dropout"):
        return [args[0], None] if name == "native_dropout" else args[0]
    args, keywords = _filled(call, name, args, keywords)
    views: list[View] = []

    def collect(x: Any) -> Any:
        if isinstance(x, View | Folded):
            views.append(x if isinstance(x, View) else x.view)
        elif isinstance(x, list | tuple):
            if any(isinstance(v, View | Folded) for v in x):
                x = [call.tensor(v) if isinstance(v, Tensor) else v for v in x]
            return [collect(v) for v in x]
        return x

    if name in _WRITING:  # constants are written, too
        args = [call.tensor(x) if isinstance(x, Tensor) else x for x in args]
    args = [collect(x) for x in args]
    sizes = call.builder.sizes()
    base, indices = joined(views, sizes)
    total = sum(sizes[n] for n in base.sources)
    images = torch.arange(call.batch, dtype=torch.float64)
    # Place p of image n counts as n * total + p + 1, so that the zeros of paddings stay apart.
    numbers = []
    for index in indices:
        places = torch.from_numpy(np.ascontiguousarray(index)).double()
        column = images.reshape(-1, *(1,) * places.ndim)
        numbers.append(torch.where(places >= 0, places + column * total + 1, 0.0))
    queue = iter(numbers)

    def put(x: Any) -> Any:
        if isinstance(x, View):
            return next(queue)
        if isinstance(x, Folded):
            return next(queue).reshape(x.shape)
        return [put(v) for v in x] if isinstance(x, list) else x

    result = target(*[put(x) for x in args], **keywords)

    def view(y: Any) -> Any:
        if isinstance(y, list | tuple):
            return [view(v) for v in y]
        return _view(call, y, base, total, sizes)

    return view(result)


def _filled(
    call: Call, name: str, args: Sequence[Any], keywords: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Refuse paddings with other values than zero, which have no place."""
    args = list(args)
    value = None
    if name == "constant_pad_nd":
        value = args[2] if len(args) > 2 else keywords.get("value", 0)
    elif name == "pad":
        mode = args[2] if len(args) > 2 else keywords.get("mode", "constant")
        value = args[3] if len(args) > 3 else keywords.get("value")
        value = value if mode == "constant" else None
    if value:
        call.refuse(
            f"padding with the value {value}",
            "Pad with zeros, 'reflect', 'replicate' or 'circular', or subtract the value before "
            "and add it behind.",
        )
    return args, keywords


def _view(call: Call, y: Tensor, base: View, total: int, sizes: dict[str, int]) -> View | Folded:
    images = y if y.ndim and y.shape[0] == call.batch else None
    if images is None and y.numel() % call.batch == 0:
        images = y.reshape(call.batch, -1)  # which may be part of another dimension
    places = None if images is None else images.long() - 1
    if places is None or not _apart(places, total):
        if y.ndim and y.shape[0] == call.batch:
            call.refuse(
                f"{call.operator} that mixes the images of a batch",
                "Keep the batch as the first dimension, and images apart.",
            )
        call.refuse(
            f"{call.operator} that makes (N, ...) a tensor of {tuple(y.shape)}, with N = "
            f"{call.batch}",
            "Keep the batch as the first dimension.",
        )
    view = moved(View(base.sources, ()), places[0].numpy(), sizes)
    return view if images is y else Folded(view, tuple(y.shape))


def _apart(places: Tensor, total: int) -> bool:
    """Return whether places (N, ...) are those of one image after another, -1 for zeros."""
    first = places[0]
    inside = first >= 0
    for n, own in enumerate(places):
        expected = torch.where(inside, first + n * total, -1)
        if not torch.equal(own >= 0, inside) or not torch.equal(own, expected):
            return False
    return int(first.max()) < total


@handles("_to_copy", "to", "type_as", "float", "double", "half", "bfloat16")
def converted(call: Call, x: Any, *rest: Any) -> Any:
    """Disappears between floating types."""
    kinds = [r for r in rest if isinstance(r, torch.dtype)]
    if any(not kind.is_floating_point for kind in kinds):
        call.refuse(f"a conversion to {kinds[0]}", "Keep tensors in floating point.")
    return x
