"""Arithmetic on views: which elements of the graph's tensors a tensor of any shape consists of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.ops import IndexArray
from tilewright.compiler.quantized.types import Shape


def canonical(shape: Sequence[int]) -> Shape:
    """(C, H, W) of a tensor of any number of dimensions: those before the last two are channels.

    A sequence (C, L) is an image of one row, a vector (F,) has F channels of one pixel.
    """
    match tuple(shape):
        case ():
            return 1, 1, 1
        case (features,):
            return features, 1, 1
        case (channels, length):
            return channels, 1, length
        case (*lead, height, width):
            return math.prod(lead), height, width
    raise AssertionError("unreachable")


def index_of(view: View) -> IndexArray:
    """Places of a view's elements in its sources."""
    if view.index is not None:
        return view.index
    return np.arange(math.prod(view.shape)).reshape(view.shape)


def moved(view: View, index: IndexArray, sizes: Mapping[str, int]) -> View:
    """``view`` of other elements; in order, all of one source, it needs no index.

    ``sizes``: elements of each tensor.
    """
    used = index[index >= 0]
    offsets = np.cumsum([0, *(sizes[name] for name in view.sources)])
    places = np.searchsorted(offsets, used, side="right") - 1
    kept = sorted(set(places.tolist())) or [0]
    if len(kept) < len(view.sources):
        index = index.copy()
        shift = np.zeros(len(view.sources), np.int64)
        start = 0
        for place in kept:
            shift[place] = start - offsets[place]
            start += sizes[view.sources[place]]
        index[index >= 0] = used + shift[places]
    sources = tuple(view.sources[i] for i in kept)
    whole = len(sources) == 1 and index.size == sizes[sources[0]]
    if whole and np.array_equal(index.reshape(-1), np.arange(index.size)):
        return View(sources, index.shape)
    return View(sources, index.shape, index)


def joined(views: Sequence[View], sizes: Mapping[str, int]) -> tuple[View, list[IndexArray]]:
    """One view's sources for several, and the index of each in them."""
    sources = tuple(dict.fromkeys(name for view in views for name in view.sources))
    starts = dict(zip(sources, np.cumsum([0, *(sizes[n] for n in sources)])[:-1], strict=True))
    result = []
    for view in views:
        index = index_of(view)
        own = np.cumsum([0, *(sizes[n] for n in view.sources)])
        shift = np.array([starts[n] - o for n, o in zip(view.sources, own, strict=False)])
        places = np.searchsorted(own, index, side="right") - 1
        result.append(np.where(index >= 0, index + shift[places.clip(0)], -1))
    return View(sources, ()), result


@dataclass(frozen=True, eq=False)
class Layout:
    """How a view is whole channels of its sources.

    Parameters
    ----------
    order : the view's dimensions, those that channels make up first, then those of pixels
    channels : how many dimensions channels make up
    pixels : (H, W) of the sources
    """

    order: tuple[int, ...]
    channels: int
    pixels: tuple[int, int]

    def sizes(self, shape: Sequence[int]) -> tuple[list[int], list[int]]:
        """Sizes of a shape's dimensions, those of channels and those of pixels."""
        turned = [shape[axis] for axis in self.order]
        return turned[: self.channels], turned[self.channels :]

    def back(self) -> list[int]:
        """Order that brings the dimensions back."""
        return [int(axis) for axis in np.argsort(self.order)]


def layout_of(view: View, shapes: Sequence[Shape]) -> Layout | None:
    """Find how a view is whole channels of its sources, in any order; None if it is not.

    ``shapes``: (C, H, W) of each source.
    """
    planes = {(h, w) for _, h, w in shapes}
    if len(planes) != 1:
        return None
    (pixels,) = planes
    size = pixels[0] * pixels[1]
    index = index_of(view)
    if not index.size or int(index.min()) < 0:
        return None
    origin = index[(0,) * index.ndim]
    outer: list[int] = []
    inner: list[tuple[int, int]] = []
    for axis, count in enumerate(index.shape):
        place = tuple(1 if i == axis else 0 for i in range(index.ndim))
        step = int(index[place] - origin) if count > 1 else 0
        if step % size:
            inner.append((-step, axis))
        else:
            outer.append(axis)
    order = (*outer, *(axis for _, axis in sorted(inner)))
    turned = index.transpose(order).reshape(math.prod(index.shape[axis] for axis in outer), -1)
    first = turned[:, :1]
    if turned.shape[1] != size or bool((first % size).any()):
        return None
    if not np.array_equal(turned, first + np.arange(size)):
        return None
    return Layout(order, len(outer), pixels)


def padding_of(view: View, shape: Shape) -> tuple[int, int, int, int] | None:
    """(top, bottom, left, right) zeros around a source of ``shape`` (C, H, W), if that is all."""
    index = view.index
    if index is None or len(view.sources) > 1 or index.shape[:-2] != shape[:-2]:
        return None
    inside = np.argwhere((index >= 0).any(axis=0))
    if not inside.size:
        return None
    (top, left), (last_row, last_column) = inside.min(axis=0), inside.max(axis=0)
    pads = (top, index.shape[1] - 1 - last_row, left, index.shape[2] - 1 - last_column)
    whole = np.arange(math.prod(shape)).reshape(shape)
    if (last_row - top + 1, last_column - left + 1) != shape[1:]:
        return None
    padded = np.pad(whole, ((0, 0), pads[:2], pads[2:]), constant_values=-1)
    return tuple(int(p) for p in pads) if np.array_equal(padded, index) else None  # type: ignore[return-value]
