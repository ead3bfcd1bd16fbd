"""Arithmetic on views: which elements of the graph's tensors a tensor of any shape consists of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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


def in_order(view: View) -> tuple[int, ...] | None:
    """Order of dimensions in which a view is all of one source, in order; None if there is none."""
    if view.index is None:
        return tuple(range(len(view.shape)))
    if len(view.sources) > 1 or view.index.size < 2:
        return None
    if np.array_equal(view.index.reshape(-1), np.arange(view.index.size)):
        return tuple(range(len(view.shape)))
    origin = view.index[(0,) * view.index.ndim]
    steps = []
    for axis, size in enumerate(view.shape):
        place = tuple(1 if i == axis else 0 for i in range(view.index.ndim))
        steps.append(int(view.index[place] - origin) if size > 1 else 0)
    order = sorted(range(len(steps)), key=lambda axis: (-steps[axis], axis))
    turned = view.index.transpose(order).reshape(-1)
    return tuple(order) if np.array_equal(turned, np.arange(turned.size)) else None


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
