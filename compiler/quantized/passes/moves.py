"""Moves of elements in terms of what the engine has.

Whole channels are selected and concatenated, which costs nothing. Other moves are convolutions of
single taps, or, where an axis is mirrored or repeated unevenly, one convolution that makes channels
of its rows and one that makes rows of these channels.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.ops import IndexArray
from tilewright.compiler.quantized.passes.reorder import reordered
from tilewright.compiler.quantized.passes.rewrite import Rewrite
from tilewright.compiler.quantized.passes.taps import (
    MAX_KERNEL,
    MAX_STRIDE,
    Taps,
    emitted,
    find_taps,
)
from tilewright.compiler.quantized.types import Shape
from tilewright.errors import UnsupportedError

_MOST_PRODUCTS = 4e9


def lower_moves(graph: Graph) -> Graph:
    """Replace every Move and Resample.

    Raises
    ------
    UnsupportedError  Naming the layer whose elements cannot be moved so.
    """
    uses, rewrite = graph.uses(), Rewrite(graph)
    for op in graph.ops:
        op = rewrite.current(op)
        match op:
            case q.Move():
                rewrite.replace(op.output, _moved(rewrite, op, uses))
            case q.Resample():
                rewrite.replace(op.output, _resampled(rewrite, op))
            case q.Bilinear():
                rewrite.replace(op.output, _interpolated(rewrite, op))
            case _:
                rewrite.emit(op)
    return rewrite.finished()


def _moved(rewrite: Rewrite, op: q.Move, uses: dict[str, int]) -> str:
    """Emit what gives the elements of ``op``; returns the tensor's name."""
    where, index = op.name, op.index
    shapes = [rewrite.shapes[name] for name in op.inputs]
    if not (index >= 0).any():
        zeros = torch.zeros(index.shape, dtype=torch.float64)
        return rewrite.emit(q.Constant(where, (), rewrite.unique(f"{where}.zeros"), zeros))
    if len(op.inputs) > 1:
        if len({shape[1:] for shape in shapes}) == 1:
            name = rewrite.emit(q.Concat(where, op.inputs, rewrite.unique(f"{where}.all")))
            return _moved(rewrite, replace(op, inputs=(name,)), {})
        return _from_several(rewrite, op, shapes)
    (source,), (shape,) = op.inputs, shapes
    whole = np.arange(int(np.prod(shape))).reshape(shape)
    if index.shape == shape and np.array_equal(index, whole):
        return source
    channels = _whole_channels(index, whole)
    if channels is not None:
        name = rewrite.unique(f"{where}.channels")
        return rewrite.emit(q.Select(where, (source,), name, channels))
    cropped = _cropped_conv(rewrite, source, index, whole, uses)
    if cropped is not None:
        return cropped
    if (factor := _repeats(index, whole)) is not None:
        return _repeated(rewrite, where, source, factor)
    taps = find_taps(index, shape)
    if taps is not None:
        return _convolved(rewrite, where, source, taps, index.shape[0])
    if (factor := _repetition(index)) != (1, 1):
        fewer = replace(op, index=index[:, :: factor[0], :: factor[1]])
        return _repeated(rewrite, where, _moved(rewrite, fewer, {}), factor)
    return _by_axis(rewrite, where, source, index, whole)


def _whole_channels(index: IndexArray, whole: IndexArray) -> IndexArray | None:
    """Channels that a move selects, if it selects whole ones."""
    if index.shape[1:] != whole.shape[1:] or int(index[:, 0, 0].min()) < 0:
        return None
    channels = index[:, 0, 0] // whole[0].size
    return channels if np.array_equal(whole[channels], index) else None


def _from_several(rewrite: Rewrite, op: q.Move, shapes: list[Shape]) -> str:
    """Move the elements of each source, then concatenate their channels or add them."""
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    owner = np.where(op.index < 0, -1, np.searchsorted(ends, op.index, side="right") - 1)
    by_channel = owner.reshape(len(owner), -1)
    last = np.maximum(by_channel.max(1), 0)
    alone = bool(((by_channel == last[:, None]) | (by_channel < 0)).all())
    parts, members = [], []
    for n, source in enumerate(op.inputs):
        mine = np.where(owner == n, op.index - ends[n], -1)
        chosen = np.flatnonzero(last == n) if alone else np.arange(len(mine))
        if len(chosen) and (alone or (mine >= 0).any()):
            part = replace(op, inputs=(source,), index=mine[chosen])
            parts.append(_moved(rewrite, part, {}))
            members.append(chosen)
    if not alone:
        return _sum(rewrite, op.name, parts)
    name = rewrite.emit(q.Concat(op.name, tuple(parts), rewrite.unique(f"{op.name}.all")))
    order = np.argsort(np.concatenate(members), kind="stable")
    if np.array_equal(order, np.arange(len(order))):
        return name
    selected = rewrite.unique(f"{op.name}.channels")
    return rewrite.emit(q.Select(op.name, (name,), selected, order))


def _sum(rewrite: Rewrite, where: str, parts: list[str]) -> str:
    """Add tensors of which at every place all but one are zero."""
    total = parts[0]
    for part in parts[1:]:
        name = rewrite.unique(f"{where}.joined")
        total = rewrite.emit(q.Join(where, (total, part), name))
    return total


def _cropped_conv(
    rewrite: Rewrite, source: str, index: IndexArray, whole: IndexArray, uses: dict[str, int]
) -> str | None:
    """Crop the result of a convolution by giving it less padding."""
    conv = rewrite.by_output.get(source)
    if not isinstance(conv, q.Conv) or uses.get(source, 2) != 1 or len(index) != len(whole):
        return None
    first = int(index.reshape(-1)[0])
    if first < 0:
        return None
    row, column = divmod(first % whole[0].size, whole.shape[2])
    rows, columns = index.shape[1:]
    crop = whole[:, row : row + rows, column : column + columns]
    if crop.shape != index.shape or not np.array_equal(crop, index):
        return None
    size = rewrite.shapes[conv.inputs[0]][1:]
    padding = []
    for axis, (start, count) in enumerate(((row, rows), (column, columns))):
        step, reach = conv.stride[axis], conv.dilation[axis] * (conv.weight.shape[2 + axis] - 1) + 1
        before = conv.padding[2 * axis] - start * step
        after = (count - 1) * step + reach - size[axis] - before
        if before < 0 or after <= -step:
            return None
        padding += [before, max(0, after)]
    own = (padding[0], padding[1], padding[2], padding[3])
    name = rewrite.unique(f"{source}.cropped")
    return rewrite.emit(replace(conv, output=name, padding=own))


def _repeats(index: IndexArray, whole: IndexArray) -> q.Pair | None:
    """Factors of a move that repeats every pixel."""
    (c, h, w), (k, rows, columns) = whole.shape, index.shape
    if c != k or rows % h or columns % w:
        return None
    factor = rows // h, columns // w
    full = whole.repeat(factor[0], 1).repeat(factor[1], 2)
    return factor if np.array_equal(full, index) and _steps(factor) is not None else None


def _repetition(index: IndexArray) -> q.Pair:
    """Return by which factors the pixels of a move are repeated, the largest there are."""
    factor = [1, 1]
    for axis in (1, 2):
        for n in range(index.shape[axis], 1, -1):
            if index.shape[axis] % n or _steps((n, 1)) is None:
                continue
            one = index[:, ::n] if axis == 1 else index[:, :, ::n]
            if np.array_equal(one.repeat(n, axis), index):
                factor[axis - 1] = n
                break
    return factor[0], factor[1]


def _steps(factor: q.Pair) -> list[q.Pair] | None:
    """Factors of at most MAX_STRIDE that one after another make ``factor``."""
    split: list[list[int]] = []
    for n in factor:
        own = []
        for step in range(MAX_STRIDE, 1, -1):
            while n % step == 0:
                own.append(step)
                n //= step
        if n > 1:
            return None
        split.append(sorted(own))
    length = max(map(len, split))
    padded = [[1] * (length - len(own)) + own for own in split]
    return list(zip(*padded, strict=True))


def _repeated(rewrite: Rewrite, where: str, source: str, factor: q.Pair) -> str:
    for step in _steps(factor) or []:
        channels = rewrite.shapes[source][0]
        weight = torch.ones(channels, 1, *step, dtype=torch.float64)
        bias = torch.zeros(channels, dtype=torch.float64)
        source = rewrite.emit(
            q.ConvTranspose(
                where, (source,), rewrite.unique(f"{where}.repeated"), weight, bias, None, 2,
                step, (0, 0, 0, 0), (0, 0), channels, True,
            )
        )  # fmt: skip
    return source


def _convolved(rewrite: Rewrite, where: str, source: str, taps: Taps, outputs: int) -> str:
    """Emit the convolution; channels that it takes one by one are put in order first."""
    inputs = rewrite.shapes[source][0]
    pairs = np.unique(taps.taps[:, :2], axis=0)
    alone = len(pairs) == outputs and len(np.unique(pairs[:, 0])) == outputs
    if alone and not np.array_equal(pairs[:, 1] * (outputs // max(1, inputs)), pairs[:, 0]):
        order = pairs[np.argsort(pairs[:, 0], kind="stable"), 1]
        if not (
            outputs % inputs == 0
            and np.array_equal(order, np.repeat(np.arange(inputs), outputs // inputs))
        ):
            selected = rewrite.unique(f"{where}.channels")
            source = rewrite.emit(q.Select(where, (source,), selected, order))
            moved = taps.taps.copy()
            moved[:, 1] = moved[:, 0]
            taps, inputs = replace(taps, taps=moved), outputs
    groups, weight = emitted(taps, (inputs, outputs))
    bias = torch.zeros(outputs, dtype=torch.float64)
    name = rewrite.unique(f"{where}.moved")
    if taps.transposed:
        return rewrite.emit(
            q.ConvTranspose(
                where, (source,), name, weight, bias, None, 2, taps.stride, taps.padding,
                taps.output_padding, groups, True,
            )
        )  # fmt: skip
    return rewrite.emit(
        q.Conv(
            where, (source,), name, weight, bias, None, 2, taps.stride, taps.padding, (1, 1),
            groups, True,
        )
    )  # fmt: skip


def _by_axis(
    rewrite: Rewrite, where: str, source: str, index: IndexArray, whole: IndexArray
) -> str:
    """Select channels, then move rows, then columns, each with a matrix of its own."""
    (_, h, w), n = whole.shape, whole[0].size
    kept = index >= 0
    channel = np.where(kept, index // n, -1).reshape(len(index), -1).max(1)
    row = np.where(kept, index % n // w, -1).max((0, 2))
    column = np.where(kept, index % w, -1).max((0, 1))
    inside = (row >= 0)[:, None] & (column >= 0)
    expected = whole[channel[:, None, None], row[:, None], column]
    if int(channel.min()) < 0 or not np.array_equal(np.where(inside, expected, -1), index):
        moved = reordered(rewrite, where, source, index, whole, partial(_spread, rewrite, where))
        if moved is not None:
            return moved
        raise UnsupportedError(
            where,
            f"elements of {whole.shape} in the order that gives {index.shape}",
            "Do it where feature maps are smaller, or reshape and permute so that channels, rows "
            "and columns move apart from each other; behind the model's last layer it costs "
            "nothing.",
        )
    if not np.array_equal(channel, np.arange(len(whole))):
        name = rewrite.unique(f"{where}.channels")
        source = rewrite.emit(q.Select(where, (source,), name, channel))
    for axis, places, size in ((1, row, h), (2, column, w)):
        if not np.array_equal(places, np.arange(size)):
            matrix = np.zeros((len(places), size))
            matrix[np.flatnonzero(places >= 0), places[places >= 0]] = 1.0
            source = _along(rewrite, where, source, torch.from_numpy(matrix), axis, True)
    return source


def _resampled(rewrite: Rewrite, op: q.Resample) -> str:
    source = op.inputs[0]
    # The axis that shrinks goes first.
    axes = [(1, op.rows), (2, op.columns)]
    for axis, matrix in sorted(axes, key=lambda a: a[1].shape[0] / a[1].shape[1]):
        if not torch.equal(matrix, torch.eye(*matrix.shape, dtype=matrix.dtype)):
            source = _along(rewrite, op.name, source, matrix, axis, False)
    return source


def _along(
    rewrite: Rewrite, where: str, source: str, matrix: Tensor, axis: int, moves: bool
) -> str:
    """Multiply rows (axis 1) or columns (2) by a matrix, (results, elements)."""
    channels, *size = rewrite.shapes[source]
    results, elements = matrix.shape
    if elements == 1 and not moves and bool((matrix == 1).all()):
        factor = (results, 1) if axis == 1 else (1, results)
        if _steps(factor) is not None:
            return _repeated(rewrite, where, source, factor)
    uniform = _uniform(matrix)
    if uniform is not None:
        kernel, stride, before, after = uniform
        pads = (before, after, 0, 0) if axis == 1 else (0, 0, before, after)
        weight = kernel.reshape((1, 1, -1, 1) if axis == 1 else (1, 1, 1, -1))
        steps = (stride, 1) if axis == 1 else (1, stride)
        return _weighed(
            rewrite, where, source, weight.repeat(channels, 1, 1, 1), steps, pads, moves
        )
    products = channels * results * elements * size[2 - axis]
    if elements > MAX_KERNEL or products > _MOST_PRODUCTS:
        raise UnsupportedError(
            where,
            f"{elements} rows or columns of {channels} channels that become {results} unevenly, "
            f"{products:.1e} products",
            "Use whole factors, or do it where feature maps are smaller.",
        )
    shape = (1, results, elements, 1) if axis == 1 else (1, results, 1, elements)
    weight = matrix.reshape(shape).repeat(channels, 1, 1, 1).reshape(-1, 1, *shape[2:])
    apart = _weighed(rewrite, where, source, weight, (1, 1), (0, 0, 0, 0), moves)
    return _spread(rewrite, where, apart, results, axis)


def _spread(rewrite: Rewrite, where: str, source: str, results: int, axis: int) -> str:
    """Make rows (axis 1) or columns (2) of every ``results`` channels of one row or column.

    Step by step, each by a transposed convolution whose stride the engine has.
    """
    steps = _spreading_steps(where, results)
    beyond = math.prod(steps) - results  # rows that the last step cuts off
    apart = results
    for number, step in enumerate(steps):
        groups = rewrite.shapes[source][0] // apart
        left = math.prod(steps[number + 1 :])
        weight = torch.zeros(groups, left, apart, step, dtype=torch.float64)
        for place in range(apart):
            row, channel = divmod(place, left)  # what the steps to come have to spread
            weight[:, channel, place, row] = 1.0
        shape = (step, 1) if axis == 1 else (1, step)
        cut = beyond if number == len(steps) - 1 else 0
        source = rewrite.emit(
            q.ConvTranspose(
                where, (source,), rewrite.unique(f"{where}.moved"),
                weight.reshape(groups * left, apart, *shape),
                torch.zeros(groups * left, dtype=torch.float64), None, 2, shape,
                (0, cut, 0, 0) if axis == 1 else (0, 0, 0, cut), (0, 0), groups, True,
            )
        )  # fmt: skip
        apart = left
    return source


def _spreading_steps(where: str, results: int) -> list[int]:
    """Strides whose product is ``results``, or more by less than the last one."""
    found = [
        list(steps)
        for count in range(1, 5)
        for steps in itertools.product(range(2, MAX_STRIDE + 1), repeat=count)
        if 0 <= math.prod(steps) - results < steps[-1]
    ]
    if not found:
        raise UnsupportedError(
            where, f"{results} rows or columns that move unevenly", "Use smaller feature maps."
        )
    return min(found, key=lambda steps: (len(steps), math.prod(steps)))


def _weighed(
    rewrite: Rewrite, where: str, source: str, weight: Tensor, stride: q.Pair,
    padding: q.Padding, moves: bool,
) -> str:  # fmt: skip
    bias = torch.zeros(len(weight), dtype=torch.float64)
    channels = rewrite.shapes[source][0]
    name = rewrite.unique(f"{where}.moved" if moves else f"{where}.weighed")
    return rewrite.emit(
        q.Conv(
            where, (source,), name, weight, bias, None, 2 if moves else 8, stride, padding, (1, 1),
            channels, moves,
        )
    )  # fmt: skip


def _uniform(matrix: Tensor) -> tuple[Tensor, int, int, int] | None:
    """Kernel, stride and padding of a matrix whose rows are one kernel, moved on step by step."""
    results, elements = matrix.shape
    for stride in range(1, min(64, max(1, elements // max(1, results - 1)) + 1) + 1):
        taps: dict[int, float] = {}
        for i in range(results):
            for j in torch.nonzero(matrix[i]).flatten().tolist():
                taps.setdefault(j - stride * i, float(matrix[i, j]))
        if not taps:
            return None
        before = max(0, -min(taps))
        length = max(1, max(taps) + before + 1)
        after = (results - 1) * stride + length - elements - before
        if (spare := -after - (stride - 1)) > 0:
            length, after = length + spare, after + spare
        after = max(0, after)
        if length > MAX_KERNEL:
            continue
        full = torch.zeros(results, elements + before + after + stride, dtype=matrix.dtype)
        for i in range(results):
            for offset, value in taps.items():
                full[i, i * stride + offset + before] = value
        if torch.equal(full[:, before : before + elements], matrix):
            kernel = torch.zeros(length, dtype=matrix.dtype)
            for offset, value in taps.items():
                kernel[offset + before] = value
            return kernel, stride, before, after
    return None


def _interpolated(rewrite: Rewrite, op: q.Bilinear) -> str:
    """Emit interpolation by factors that the engine has, or as a product of matrices."""
    _, height, width = rewrite.shapes[op.inputs[0]]
    if (height, width) == (1, 1) and _steps(op.factor) is not None:
        return _repeated(rewrite, op.name, op.inputs[0], op.factor)
    if max(op.factor) <= MAX_STRIDE and 4 * op.factor[0] * op.factor[1] < 128:
        return rewrite.emit(op)
    if max(op.factor) <= MAX_STRIDE:
        half = rewrite.unique(f"{op.name}.rows")
        first = rewrite.emit(replace(op, output=half, factor=(op.factor[0], 1)))
        return rewrite.emit(replace(op, inputs=(first,), factor=(1, op.factor[1])))
    matrices = []
    for size, factor in zip((height, width), op.factor, strict=True):
        unit = torch.eye(size, dtype=torch.float64)[:, None, :, None]
        full = torch.nn.functional.interpolate(unit, (size * factor, 1), mode="bilinear")
        matrices.append(full[:, 0, :, 0].T)
    return _resampled(rewrite, q.Resample(op.name, op.inputs, op.output, *matrices))
