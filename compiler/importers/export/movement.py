"""Everything that only moves elements: done to the elements' places, by the operator itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tilewright.compiler.importers.export.call import Call, Complex, Folded, Fringed, handles
from tilewright.compiler.importers.export.folded import full, parted
from tilewright.compiler.importers.export.remedies import remedy_for
from tilewright.compiler.quantized import ops as q
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


_LEAST = -1e4
"""Padding with less than this is for maxima only: no grid has it beside other values."""
_FILLING = ("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
SHAPING = frozenset(f"aten.{name}" for name in _FILLING)
"""ATen operators to which of a tensor only the shape matters."""
JOINING = tuple(f"aten.{n}" for n in ("cat", "concat", "concatenate", "stack", "hstack", "vstack"))
_WRITING = ("slice_scatter", "select_scatter", "copy")


def move(call: Call, target: Any, args: Sequence[Any], keywords: dict[str, Any]) -> Any:
    """Run an operator on the places of its arguments' elements.

    Constants among the arguments become tensors of the graph. Images must stay apart; where the
    batch does not stay the first dimension, the result is Folded.
    """
    name = call.operator.removeprefix("aten.").removesuffix("_")
    if name.endswith("dropout"):
        return [args[0], None] if name == "native_dropout" else args[0]
    args, keywords, value = _filled(call, name, args, keywords)
    if value < _LEAST:
        return _fringed(call, *args[:2])
    views: list[View] = []

    def collect(x: Any) -> Any:
        if isinstance(x, View | Folded):
            views.append(x.view if isinstance(x, Folded) else x)
        elif isinstance(x, list | tuple):
            if any(isinstance(v, View | Folded) for v in x):
                x = [call.tensor(v) if isinstance(v, Tensor) else v for v in x]
            return [collect(v) for v in x]
        return x

    if name in _WRITING:  # constants are written, too
        args = [call.tensor(x) if isinstance(x, Tensor) else x for x in args]
    args = [collect(x) for x in args]
    if (
        call.operator in JOINING
        and len({call.builder.shape(n)[1:] for v in views for n in v.sources}) > 1
    ):
        views = [call.builder.settled(call.where, v) if _repeats(call, v) else v for v in views]
    sizes = call.builder.sizes()
    base, indices = joined(views, sizes)
    total = sum(sizes[n] for n in base.sources)
    # Place p of image n counts as n * total + p + 1, so that the zeros of paddings stay apart.
    queue = iter([torch.from_numpy(index.copy()).double() for index in indices])

    def put(x: Any) -> Any:
        if isinstance(x, View | Folded):
            places = next(queue)
            images = [torch.where(places >= 0, places + n * total + 1, 0.0)
                      for n in range(call.batch)]  # fmt: skip
            return full(x, images) if isinstance(x, Folded) else torch.stack(images)
        return [put(v) for v in x] if isinstance(x, list) else x

    result = target(*[put(x) for x in args], **keywords)

    def view(y: Any) -> Any:
        if isinstance(y, list | tuple):
            return [view(v) for v in y]
        own = _view(call, y, base, total, sizes)
        if not value:
            return own
        more = q.Apply("add", (q.X, value))
        if isinstance(own, Folded):
            return replace(own, view=call.builder.function(call.where, own.view, more))
        return call.builder.function(call.where, own, more)

    return view(result)


def _repeats(call: Call, view: View) -> bool:
    """Whether a view has more elements than its sources, as what is interpolated."""
    sizes = (math.prod(call.builder.shape(name)) for name in view.sources)
    return math.prod(view.shape) > sum(sizes)


def _filled(
    call: Call, name: str, args: Sequence[Any], keywords: dict[str, Any]
) -> tuple[list[Any], dict[str, Any], float]:
    """Take the value off that a padding has, which is then zeros; returns it."""
    args, keywords = list(args), dict(keywords)
    value = None
    if name == "constant_pad_nd":
        value = args.pop(2) if len(args) > 2 else keywords.pop("value", 0)
    elif name == "pad":
        mode = args[2] if len(args) > 2 else keywords.get("mode", "constant")
        value = args.pop(3) if len(args) > 3 else keywords.pop("value", None)
        value = value if mode == "constant" else None
    if not value:
        return args, keywords, 0.0
    if value == math.inf:
        call.refuse(f"padding with the value {value}", remedy_for("pad"))
    x = args[0]
    if value < _LEAST:
        return args, keywords, float(value)
    view = x.view if isinstance(x, Folded) else x
    less = call.builder.function(call.where, view, q.Apply("sub", (q.X, float(value))))
    args[0] = replace(x, view=less) if isinstance(x, Folded) else less
    return args, keywords, float(value)


def _fringed(call: Call, x: Any, pads: Sequence[int]) -> Fringed:
    """Return an image, or a sequence, with less than any number around it."""
    view = call.tensor(x)
    sides = [*pads, *(0,) * (4 - len(pads))]
    if len(view.shape) not in (2, 3) or len(sides) > 4 or min(sides) < 0:
        call.refuse("padding with -inf of other dimensions than pixels", remedy_for("pad"))
    if len(view.shape) == 2:
        view = call.builder.reshaped(view, (view.shape[0], 1, view.shape[1]))
    left, right, top, bottom = sides
    return Fringed(view, (top, bottom, left, right))


def _view(call: Call, y: Tensor, base: View, total: int, sizes: dict[str, int]) -> View | Folded:
    for axis, outer, images in parted(y.long() - 1, call.batch):
        first = images[0]
        steps = total * torch.arange(call.batch).reshape(-1, *(1,) * first.ndim)
        expected = torch.where(first >= 0, first + steps, -1)
        if int(first.max()) < total and torch.equal(images, expected):
            alone = axis == 0 and first.shape[:1] == (1,)
            own = moved(View(base.sources, ()), (first[0] if alone else first).numpy(), sizes)
            return own if alone else Folded(own, axis, outer)
    call.refuse(
        f"{call.operator} that mixes the images of a batch",
        "Keep the batch a dimension of its own, and images apart; or calibrate with one image at a "
        "time, if the network takes no more.",
    )


@handles("_to_copy", "to", "type_as", "float", "double", "half", "bfloat16")
def converted(call: Call, x: Any, *rest: Any) -> Any:
    """Disappears between floating types."""
    kinds = [r for r in rest if isinstance(r, torch.dtype)]
    if any(kind.is_complex for kind in kinds):
        return Complex(x, 0.0)
    if any(not kind.is_floating_point for kind in kinds):
        call.refuse(f"a conversion to {kinds[0]}", "Keep tensors in floating point.")
    return x


@handles(*_FILLING)
def filled(call: Call, x: Any, *rest: Any) -> Tensor:
    """Becomes a constant: of the tensor only its shape counts."""
    name = call.operator.removeprefix("aten.")
    shape: Sequence[int]
    if name.startswith("new_"):
        shape, rest = rest[0], rest[1:]
    elif isinstance(x, Folded):
        shape = list(x.view.shape)
        shape[x.axis] *= call.batch
    else:
        shape = (call.batch, *x.shape)
    value = float(rest[0]) if "full" in name else float("ones" in name)
    return torch.full(tuple(shape), value)
