"""Elements that change between channels and pixels, in any order.

Pixels become channels, a convolution that gathers every so many rows and columns or blocks of them;
whole channels are selected, which costs nothing; channels become pixels again, the other way round.
All pixels as channels can take any order, so that this always ends; of what does, the cheapest is
taken.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.ops import IndexArray
from tilewright.compiler.quantized.passes.rewrite import Rewrite
from tilewright.compiler.quantized.passes.taps import MAX_KERNEL, MAX_STRIDE

_MOST_WEIGHTS = 1 << 24
"""Of one of the convolutions."""


@dataclass(frozen=True)
class _Split:
    """Rows or columns as ``pixels`` pixels of ``size / pixels`` channels.

    ``blocks``: channels are blocks of ``pixels`` that follow one another, instead of every so many.
    """

    size: int
    pixels: int
    blocks: bool

    @property
    def parts(self) -> int:
        return self.size // self.pixels

    @property
    def kernel(self) -> int:
        """Rows or columns from the first to the last that are gathered."""
        return (self.parts - 1) * self.pixels + 1 if self.blocks else self.parts

    def shape(self) -> tuple[int, int]:
        return (self.parts, self.pixels) if self.blocks else (self.pixels, self.parts)


def _split(places: IndexArray, rows: _Split, columns: _Split) -> IndexArray:
    """(C, H, W) as (C * row parts * column parts, row pixels, column pixels)."""
    apart = places.reshape(len(places), *rows.shape(), *columns.shape())
    part, pixel = (1, 2) if rows.blocks else (2, 1)
    part_2, pixel_2 = (3, 4) if columns.blocks else (4, 3)
    moved = apart.transpose(0, part, part_2, pixel, pixel_2)
    return moved.reshape(-1, rows.pixels, columns.pixels)


def _ways(size: int, other: int) -> Iterator[tuple[_Split, _Split]]:
    """Ways to gather an axis of the source, and to spread it in the result."""
    for pixels in range(math.gcd(size, other), 0, -1):
        if size % pixels or other % pixels:
            continue
        own = [b for b in (False, True) if not b or 1 < pixels < size]
        there = [b for b in (False, True) if not b or 1 < pixels < other]
        for one, two in itertools.product(own, there):
            yield _Split(size, pixels, one), _Split(other, pixels, two)


def reordered(
    rewrite: Rewrite,
    where: str,
    source: str,
    index: IndexArray,
    whole: IndexArray,
    spread: Callable[[str, int, int], str],
) -> str | None:
    """Emit what gives elements of a tensor in the order of ``index``, (K, H', W').

    Parameters
    ----------
    whole : (C, H, W), places of the source's elements
    spread : makes rows (1) or columns (2) of every so many channels of one row or column

    Returns the tensor's name; None if it would take too many weights.
    """
    best: tuple[float, tuple[_Split, ...], IndexArray] | None = None
    for rows, to_rows in _ways(whole.shape[1], index.shape[1]):
        for columns, to_columns in _ways(whole.shape[2], index.shape[2]):
            ways = (rows, columns, to_rows, to_columns)
            cost = _cost(ways, len(whole), len(index))
            if best is not None and cost >= best[0]:
                continue
            apart = _split(whole, rows, columns)
            wanted = _split(index, to_rows, to_columns)
            channel = np.full(whole.size + 1, -1)  # the last for zeros
            channel[apart[:, 0, 0]] = np.arange(len(apart))
            chosen = channel[wanted[:, 0, 0]]
            there = np.concatenate([apart, np.full_like(apart[:1], -1)])
            if np.array_equal(there[chosen], wanted):
                best = cost, ways, chosen
    if best is None or best[0] == math.inf:
        return None
    _, (rows, columns, to_rows, to_columns), chosen = best
    for axis, way in ((1, rows), (2, columns)):
        source = _gathered(rewrite, where, source, way, axis)
    source = _selected(rewrite, where, source, chosen)
    # Columns are the channels' last digit, and become columns first.
    for axis, way in ((2, to_columns), (1, to_rows)):
        source = _spread(rewrite, where, source, way, axis, spread)
    return source


def _cost(ways: tuple[_Split, ...], inputs: int, outputs: int) -> float:
    """Products of the convolutions; infinite if one cannot be."""
    rows, columns, to_rows, to_columns = ways
    if any(way.kernel > MAX_KERNEL for way in ways):
        return math.inf
    for way in (to_rows, to_columns):
        if not way.blocks and way.pixels > 1 and way.parts > MAX_STRIDE:
            return math.inf
    pixels = columns.pixels * rows.pixels
    first = inputs * rows.parts
    gathered = first * rows.kernel + first * columns.parts * columns.kernel
    last = outputs * to_rows.parts
    apart = last * to_columns.parts * to_columns.kernel + last * to_rows.kernel
    if max(gathered, apart) > _MOST_WEIGHTS:
        return math.inf
    return float(
        first * rows.pixels * columns.size * (rows.parts > 1) * rows.kernel
        + first * columns.parts * pixels * (columns.parts > 1) * columns.kernel
        + last * to_columns.size * rows.pixels * (to_columns.parts > 1) * to_columns.kernel
        + outputs * to_rows.size * to_columns.size * (to_rows.parts > 1) * to_rows.kernel
    )


def _gathered(rewrite: Rewrite, where: str, source: str, way: _Split, axis: int) -> str:
    """Make channels of rows (axis 1) or columns (2), behind the channels that there are."""
    if way.parts == 1:
        return source
    channels = rewrite.shapes[source][0]
    taps = torch.eye(way.parts, dtype=torch.float64).repeat(channels, 1)
    weight = taps[:, None, :, None] if axis == 1 else taps[:, None, None, :]
    step = 1 if way.blocks or way.pixels == 1 else way.parts
    apart = way.pixels if way.blocks else 1
    return rewrite.emit(
        q.Conv(
            where, (source,), rewrite.unique(f"{where}.gathered"), weight,
            torch.zeros(len(weight), dtype=torch.float64), None, 2,
            (step, 1) if axis == 1 else (1, step), (0, 0, 0, 0),
            (apart, 1) if axis == 1 else (1, apart), channels, True,
        )
    )  # fmt: skip


def _selected(rewrite: Rewrite, where: str, source: str, chosen: IndexArray) -> str:
    """Select channels; -1 is one of zeros."""
    shape = rewrite.shapes[source]
    if int(chosen.min()) < 0:
        none = torch.zeros(1, *shape[1:], dtype=torch.float64)
        zeros = rewrite.emit(q.Constant(where, (), rewrite.unique(f"{where}.zeros"), none))
        source = rewrite.emit(q.Concat(where, (source, zeros), rewrite.unique(f"{where}.all")))
        chosen = np.where(chosen < 0, shape[0], chosen)
    elif np.array_equal(chosen, np.arange(shape[0])):
        return source
    return rewrite.emit(
        q.Select(where, (source,), rewrite.unique(f"{where}.channels"), chosen.astype(np.int64))
    )


def _spread(
    rewrite: Rewrite,
    where: str,
    source: str,
    way: _Split,
    axis: int,
    spread: Callable[[str, int, int], str],
) -> str:
    """Make rows (axis 1) or columns (2) of every so many channels."""
    if way.parts == 1:
        return source
    if not way.blocks and way.pixels == 1:
        return spread(source, way.parts, axis)
    groups = rewrite.shapes[source][0] // way.parts
    taps = torch.eye(way.parts, dtype=torch.float64)
    if way.blocks:  # a block's tap is that far before the first pixel
        taps = taps.flip(1).repeat(groups, 1).reshape(groups, way.parts, way.parts)
        weight = taps[..., None] if axis == 1 else taps[:, :, None]
        before = (way.parts - 1) * way.pixels
        return rewrite.emit(
            q.Conv(
                where, (source,), rewrite.unique(f"{where}.moved"), weight,
                torch.zeros(groups, dtype=torch.float64), None, 2, (1, 1),
                (before, before, 0, 0) if axis == 1 else (0, 0, before, before),
                (way.pixels, 1) if axis == 1 else (1, way.pixels), groups, True,
            )
        )  # fmt: skip
    weight = taps.repeat(groups, 1).reshape(groups, way.parts, way.parts)
    weight = weight[..., None] if axis == 1 else weight[:, :, None]
    step = (way.parts, 1) if axis == 1 else (1, way.parts)
    return rewrite.emit(
        q.ConvTranspose(
            where, (source,), rewrite.unique(f"{where}.moved"), weight,
            torch.zeros(groups, dtype=torch.float64), None, 2, step, (0, 0, 0, 0), (0, 0), groups,
            True,
        )
    )  # fmt: skip
