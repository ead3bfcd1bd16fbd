"""Moves as convolutions of single taps: slices, crops, paddings, shifts, space to depth and back.

A convolution sees zeros outside its input, so taps that differ from place to place can stand in one
kernel, as long as at every place only one of them lies inside: ``torch.roll`` is two taps. Whether
they do is not reasoned about but tried, on the places themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.ops import IndexArray
from tilewright.compiler.quantized.types import Shape

MAX_KERNEL = 255
"""Rows and columns of a kernel."""
MAX_STRIDE = 7
"""Of a transposed convolution."""
_MAX_TAPS = 60_000


@dataclass(frozen=True, eq=False)
class Taps:
    """One-valued weights of a convolution: output channel, input channel, row and column each.

    Parameters
    ----------
    taps : (T, 4)
    kernel, stride, padding : as of Conv or, if ``transposed``, of ConvTranspose
    """

    taps: npt.NDArray[np.int64]
    kernel: q.Pair
    stride: q.Pair
    padding: q.Padding
    transposed: bool
    output_padding: q.Pair = (0, 0)


def find_taps(index: IndexArray, shape: Shape) -> Taps | None:
    """Find a convolution of a (C, H, W) tensor of ``shape`` that is a move; the cheapest.

    Parameters
    ----------
    index : (K, H', W'), place of each element in the flattened tensor, or -1 for zero
    """
    found = [t for t in (*_convolutions(index, shape), *_transposed(index, shape))]
    return min(found, key=lambda t: _cost(t, index.shape), default=None)


def _cost(t: Taps, shape: tuple[int, ...]) -> float:
    positions = shape[1] * shape[2] / (t.stride[0] * t.stride[1] if t.transposed else 1)
    return t.kernel[0] * t.kernel[1] * positions


def _places(index: IndexArray, shape: Shape) -> npt.NDArray[np.int64]:
    """(T, 6): output channel, row, column, and input channel, row, column, of all elements."""
    out = np.argwhere(index >= 0)
    flat = index[index >= 0]
    inner = np.stack(np.unravel_index(flat, shape), axis=1)
    return np.concatenate([out, inner], axis=1)


def _strides(places: npt.NDArray[np.int64], out_axis: int, in_axis: int) -> list[int]:
    """Likely ratios of input to output steps along an axis."""
    first: dict[int, set[int]] = {}
    for o, i in zip(places[:, out_axis].tolist(), places[:, in_axis].tolist(), strict=True):
        first.setdefault(o, set()).add(i)
    result = {1}
    rows = sorted(first)
    if len(rows) > 1:
        a, b = rows[len(rows) // 2 - 1], rows[len(rows) // 2]
        if b == a + 1:
            steps = (end(first[b]) - end(first[a]) for end in (min, max))
            result |= {step for step in steps if 1 < step <= 64}
    return sorted(result, reverse=True)


def _convolutions(index: IndexArray, shape: Shape) -> Iterator[Taps]:
    places = _places(index, shape)
    if not len(places):
        return
    k, i, j, c, y, x = places.T
    for vertical in _strides(places, 1, 4):
        for horizontal in _strides(places, 2, 5):
            taps = np.unique(np.stack([k, c, y - vertical * i, x - horizontal * j], 1), axis=0)
            if len(taps) > _MAX_TAPS:
                continue
            ends = [
                _window(taps[:, 2 + a], s, n, m)
                for a, s, n, m in (
                    (0, vertical, shape[1], index.shape[1]),
                    (1, horizontal, shape[2], index.shape[2]),
                )
            ]
            if any(e[0] > MAX_KERNEL for e in ends):
                continue
            (rows, top, bottom), (columns, left, right) = ends
            taps[:, 2] += top
            taps[:, 3] += left
            own = Taps(
                taps, (rows, columns), (vertical, horizontal), (top, bottom, left, right), False
            )
            if _is_move(own, index, shape):
                yield own


def _window(
    offsets: npt.NDArray[np.int64], stride: int, size: int, wanted: int
) -> tuple[int, int, int]:
    """Kernel size and padding on both sides for taps at ``offsets`` and ``wanted`` results."""
    before = max(0, -int(offsets.min()))
    kernel = max(1, int(offsets.max()) + before + 1)
    after = (wanted - 1) * stride + kernel - size - before
    # Rows left over would give more results, unless they are fewer than the stride.
    spare = -after - (stride - 1)
    if spare > 0:
        kernel, after = kernel + spare, after + spare
    return kernel, before, max(0, after)


def _transposed(index: IndexArray, shape: Shape) -> Iterator[Taps]:
    places = _places(index, shape)
    if not len(places):
        return
    k, i, j, c, y, x = places.T
    ratio = [max(1, round(m / n)) for m, n in zip(index.shape[1:], shape[1:], strict=True)]
    if max(ratio) == 1 or max(ratio) > MAX_STRIDE:
        return
    taps = np.unique(np.stack([k, c, i - ratio[0] * y, j - ratio[1] * x], 1), axis=0)
    if len(taps) > _MAX_TAPS or int(taps[:, 2:].min()) < 0:
        return
    kernel = int(taps[:, 2].max()) + 1, int(taps[:, 3].max()) + 1
    cuts, beyond = [], []
    for axis in (0, 1):
        made = (shape[1 + axis] - 1) * ratio[axis] + kernel[axis]
        cut = made - index.shape[1 + axis]
        if cut >= kernel[axis] or -cut >= ratio[axis]:
            return
        cuts += [0, max(0, cut)]
        beyond.append(max(0, -cut))
    own = Taps(
        taps, kernel, (ratio[0], ratio[1]), (cuts[0], cuts[1], cuts[2], cuts[3]), True,
        (beyond[0], beyond[1]),
    )  # fmt: skip
    if _is_move(own, index, shape):
        yield own


def _is_move(t: Taps, index: IndexArray, shape: Shape) -> bool:
    """Whether the taps give exactly the elements of ``index``."""
    places = np.arange(1, 1 + int(np.prod(shape))).reshape(shape)
    result = np.zeros(index.shape, np.int64)
    taps = _by_offset(t)
    for (r, s), (outs, ins) in taps.items():
        rows = _range(r, 0, t, shape, index.shape)
        columns = _range(s, 1, t, shape, index.shape)
        if rows is None or columns is None:
            continue
        target = result[:, rows[1], columns[1]]
        np.add.at(target, outs, places[:, rows[0], columns[0]][ins])
        result[:, rows[1], columns[1]] = target
    return np.array_equal(result, index + 1)


def _by_offset(
    t: Taps,
) -> dict[tuple[int, int], tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    order = np.lexsort((t.taps[:, 3], t.taps[:, 2]))
    taps = t.taps[order]
    changes = np.flatnonzero(np.any(np.diff(taps[:, 2:], axis=0) != 0, axis=1)) + 1
    groups = np.split(taps, changes)
    return {(int(g[0, 2]), int(g[0, 3])): (g[:, 0], g[:, 1]) for g in groups}


def _range(
    tap: int, axis: int, t: Taps, shape: Shape, result: tuple[int, ...]
) -> tuple[slice, slice] | None:
    """Input and output positions along an axis that meet at a tap."""
    step, before = t.stride[axis], t.padding[2 * axis]
    n, m = shape[1 + axis], result[1 + axis]
    positions = np.arange(n if t.transposed else m)
    other = positions * step + tap - before
    inside = positions[(other >= 0) & (other < (m if t.transposed else n))]
    if not len(inside):
        return None
    own = slice(int(inside[0]), int(inside[-1]) + 1)
    first, last = (int(v) * step + tap - before for v in (inside[0], inside[-1]))
    there = slice(first, last + 1, step)
    return (own, there) if t.transposed else (there, own)


def emitted(t: Taps, channels: q.Pair) -> tuple[int, torch.Tensor]:
    """Return groups and weights (K, C / groups, R, S) of taps between ``channels`` (C, K)."""
    groups = _groups(t.taps[:, :2], *channels)
    per_input = channels[0] // groups
    weight = torch.zeros(channels[1], per_input, *t.kernel, dtype=torch.float64)
    k, c, r, s = (torch.from_numpy(column.copy()) for column in t.taps.T)
    weight[k, c % per_input, r, s] = 1.0
    return groups, weight


def _groups(pairs: npt.NDArray[np.int64], inputs: int, outputs: int) -> int:
    """Most groups of which every pair (output, input channel) lies within one."""
    for groups in sorted(_divisors(int(np.gcd(inputs, outputs))), reverse=True):
        if np.array_equal(pairs[:, 0] // (outputs // groups), pairs[:, 1] // (inputs // groups)):
            return groups
    return 1


def _divisors(n: int) -> set[int]:
    return {d for i in range(1, int(n**0.5) + 1) if n % i == 0 for d in (i, n // i)}
