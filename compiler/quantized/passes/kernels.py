"""Kernels longer than the engine's: sums of dilated ones, each with every n-th tap."""

from __future__ import annotations

from dataclasses import replace

import torch

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.passes.rewrite import Rewrite
from tilewright.compiler.quantized.passes.taps import MAX_KERNEL
from tilewright.errors import UnsupportedError


def split_kernels(graph: Graph) -> Graph:
    """Replace convolutions with more than ``MAX_KERNEL`` rows or columns of taps.

    Raises
    ------
    UnsupportedError  If their padding does not let the parts begin at the same place.
    """
    rewrite = Rewrite(graph)
    for op in graph.ops:
        op = rewrite.current(op)
        axis = _long_axis(op)
        if axis is None or not isinstance(op, q.Conv):
            rewrite.emit(op)
            continue
        parts = _parts(rewrite, op, axis)
        names = [rewrite.emit(part) for part in parts]
        total = names[0]
        for name in names[1:]:
            output = op.output if name == names[-1] else rewrite.unique(f"{op.output}.sum")
            total = rewrite.emit(q.Binary(op.name, (total, name), output, "add"))
    return rewrite.finished()


def _long_axis(op: q.Op) -> int | None:
    if not isinstance(op, q.Conv):
        return None
    return next((a for a in (0, 1) if op.weight.shape[2 + a] > MAX_KERNEL), None)


def _parts(rewrite: Rewrite, op: q.Conv, axis: int) -> list[q.Conv]:
    taps = op.weight.shape[2 + axis]
    count = -(-taps // MAX_KERNEL)
    size = rewrite.shapes[op.inputs[0]][1 + axis]
    results = op.shape([rewrite.shapes[op.inputs[0]]])[1 + axis]
    parts = []
    for first in range(count):
        places = torch.arange(first, taps, count)
        step = count * op.dilation[axis]
        before = op.padding[2 * axis] - first * op.dilation[axis]
        reach = step * (len(places) - 1) + 1
        after = (results - 1) * op.stride[axis] + reach - size - before
        if before < 0 or after <= -op.stride[axis]:
            raise UnsupportedError(
                op.name,
                f"a kernel of {taps} taps with a padding of {op.padding[2 * axis]}",
                f"Use at most {MAX_KERNEL} taps, or at least {count} elements of padding on both "
                "sides.",
            )
        padding, dilation = list(op.padding), list(op.dilation)
        padding[2 * axis : 2 * axis + 2] = [before, max(0, after)]
        dilation[axis] = step
        parts.append(
            replace(
                op,
                output=rewrite.unique(f"{op.output}.taps"),
                weight=op.weight.index_select(2 + axis, places),
                bias=op.bias if first == 0 else torch.zeros_like(op.bias),
                padding=(padding[0], padding[1], padding[2], padding[3]),
                dilation=(dilation[0], dilation[1]),
            )
        )
    return parts
