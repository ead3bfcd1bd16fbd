"""Functions between two grids as onnxruntime computes them: in float32.

A function that jumps, or a scale that makes ties, has other integers in float64: 1 / (2 / 255) is a
tie in float32, and floor of 80 steps of 0.0125 is one.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tilewright.compiler.quantized import Graph, Quantization
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.ops.elementwise import evaluate


def with_float32_tables(graph: Graph) -> Graph:
    """Replace functions whose integers are others in float32 by tables of those."""
    readers = graph.readers()
    return graph.with_ops(_tabulated(graph, op, readers) for op in graph.ops)


def _tabulated(graph: Graph, op: q.Op, readers: dict[str, list[q.Op]]) -> q.Op:
    if not isinstance(op, q.Function) or q.bounds(op.expression) is not None:
        return op
    before, own = graph.tensors[op.inputs[0]].quantization, readers[op.output]
    if before is None or len(own) != 1 or not isinstance(own[0], q.Copy):
        return op
    behind = graph.tensors[own[0].output].quantization
    if behind is None:
        return op
    results = [_integers(op.expression, before, behind, kind) for kind in (np.float64, np.float32)]
    inside = slice(before.qmin - _lowest(before), before.qmax - _lowest(before) + 1)
    if np.array_equal(results[0][inside], results[1][inside]):
        return op
    values = torch.from_numpy((results[1] - behind.zero_point) * behind.scale)
    return q.Table(
        op.name, op.inputs, op.output, values, before.scale, before.zero_point, before.signed
    )


def _lowest(grid: Quantization) -> int:
    return -(1 << (grid.bits - 1)) if grid.signed else 0


def _integers(
    expression: q.Expression, before: Quantization, behind: Quantization, kind: type[np.floating]
) -> NDArray[np.int64]:
    """Return the result for every integer of a grid, computed in floats of one kind."""
    steps = np.arange(1 << before.bits) + _lowest(before) - before.zero_point
    argument = torch.from_numpy(steps.astype(kind) * kind(before.scale))
    reals = np.broadcast_to(np.asarray(evaluate(expression, argument), kind), steps.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = np.nan_to_num(np.rint(reals / kind(behind.scale)), posinf=1e9, neginf=-1e9)
    shifted = rounded.astype(np.float64) + behind.zero_point
    result: NDArray[np.int64] = shifted.clip(behind.qmin, behind.qmax).astype(np.int64)
    return result
