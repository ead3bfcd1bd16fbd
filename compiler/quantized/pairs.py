"""Two tensors element by element: in which layout they are combined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.ops.elementwise import BinaryFunction
from tilewright.compiler.quantized.types import may_weigh
from tilewright.compiler.quantized.views import Layout

if TYPE_CHECKING:
    from tilewright.compiler.quantized.build import Builder


def combined(builder: Builder, where: str, function: BinaryFunction, a: View, b: View) -> View:
    """Combine two tensors that broadcast to one shape.

    Channels stay channels and pixels pixels, in whatever order the views have them; one factor per
    channel, or per pixel, of a product is not repeated.
    """
    shape = np.broadcast_shapes(a.shape, b.shape)
    if (same := _alike(builder, where, function, a, b)) is not None:
        return same
    a, b = _collapsed(builder, a, len(shape)), _collapsed(builder, b, len(shape))
    inner = np.broadcast_shapes(a.shape, b.shape)
    lead, layout = _leading(builder, a, b, inner)
    if lead is None or layout is None:
        result = _as_they_are(builder, where, function, a, b, inner)
    else:
        names = [
            builder.realized(
                where, _operand(builder, _weighs(builder, function, x), x, layout, inner)
            )
            for x in (a, b)
        ]
        output = builder.emit(
            q.Binary(where, (names[0], names[1]), builder.unique(where), function)
        )
        maps = View((output,), builder.shape(output))
        result = builder.from_maps(maps, layout, inner)
    return _expanded(builder, result, shape)


def _alike(builder: Builder, where: str, function: BinaryFunction, a: View, b: View) -> View | None:
    """Combine two tensors that are moved alike before they are."""
    if a.shape != b.shape or len(a.sources) != 1 or len(b.sources) != 1:
        return None
    orders = [None if x.index is None else x.index.tobytes() for x in (a, b)]
    if orders[0] != orders[1] or builder.shape(a.sources[0]) != builder.shape(b.sources[0]):
        return None
    a, b = builder.whole(where, a), builder.whole(where, b)
    names = (a.sources[0], b.sources[0])
    output = builder.emit(q.Binary(where, names, builder.unique(where), function))
    return View((output,), a.shape, a.index)


def _collapsed(builder: Builder, view: View, rank: int) -> View:
    """Return a view of so many dimensions, those along which it repeats itself reduced to one."""
    view = builder.reshaped(view, (*(1,) * (rank - len(view.shape)), *view.shape))
    if view.index is None:
        return view
    for axis, count in enumerate(view.shape):
        if count > 1 and bool((view.index == view.index.take([0], axis)).all()):
            view = builder.taken(view, [0], axis)
            if view.index is None:
                break
    return view


def _leading(
    builder: Builder, a: View, b: View, shape: Sequence[int]
) -> tuple[View | None, Layout | None]:
    """Return the operand whose layout the result has, with that: the one of more pixels."""
    lead, found = None, None
    for view in (a, b):
        layout = builder.layout(view) if view.shape == tuple(shape) else None
        if layout is not None and (
            found is None or math.prod(layout.pixels) > math.prod(found.pixels)
        ):
            lead, found = view, layout
    return lead, found


def _weighs(builder: Builder, function: BinaryFunction, factor: View) -> tuple[bool, bool]:
    """Whether one factor per pixel and one per channel need not be repeated."""
    grids = [builder.tensors[n].quantization for n in factor.sources]
    return function == "mul", function == "mul" and may_weigh(grids)


def _operand(
    builder: Builder, weighs: tuple[bool, bool], view: View, layout: Layout, shape: Sequence[int]
) -> View:
    """Return an operand as channels and pixels of a layout, (K, H, W), or one of either.

    ``weighs``: whether one factor per pixel, and one per channel, may stay one.
    """
    channels, pixels = layout.sizes(shape)
    own = layout.sizes(view.shape)
    turned = builder.transposed(view, layout.order)
    lone = [bool(s) and all(n == 1 for n in s) and math.prod(f) > 1
            for s, f in zip(own, (channels, pixels), strict=True)]  # fmt: skip
    if weighs[1] and lone[1]:
        wide = _expanded(builder, turned, (*channels, *own[1]))
        return builder.reshaped(wide, (math.prod(channels), 1, 1))
    if weighs[0] and lone[0] and own[1] == pixels and math.prod(pixels) > 1:
        return builder.reshaped(turned, (1, *layout.pixels))
    wide = _expanded(builder, turned, (*channels, *pixels))
    return builder.reshaped(wide, (math.prod(channels), *layout.pixels))


def _as_they_are(
    builder: Builder, where: str, function: BinaryFunction, a: View, b: View, shape: Sequence[int]
) -> View:
    """Combine two tensors of which neither is whole channels, as images."""
    names = [builder.realized(where, _expanded(builder, x, shape)) for x in (a, b)]
    output = builder.emit(q.Binary(where, (names[0], names[1]), builder.unique(where), function))
    return View((output,), tuple(shape))


def _expanded(builder: Builder, view: View, shape: Sequence[int]) -> View:
    if view.shape == tuple(shape):
        return view
    return builder.move([view], lambda places: np.broadcast_to(places[0], shape))
