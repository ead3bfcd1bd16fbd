"""Factors between grids as onnxruntime computes them: in float32.

It multiplies a layer's sums by ``(x_scale * w_scale) / y_scale``, rounded to float32 at each step.
Exact factors give other integers in some 5 of a million elements; these give the same in all but
those where its product of the sum and the factor, in float32 again, is rounded across a boundary.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from tilewright.compiler.quantized import Graph, Quantization
from tilewright.compiler.quantized import ops as q


def with_float32_factors(graph: Graph) -> Graph:
    """Change weights' scales, by less than 2**-22, so that factors are onnxruntime's."""
    readers = graph.readers()
    return graph.with_ops(_changed(graph, op, readers) for op in graph.ops)


def _changed(graph: Graph, op: q.Op, readers: dict[str, list[q.Op]]) -> q.Op:
    if not isinstance(op, q.Weighted) or op.weight_scale is None or getattr(op, "moves", False):
        return op
    before, behind = graph.tensors[op.inputs[0]].quantization, _grid_behind(graph, op, readers)
    scale = op.weight_scale.numpy()
    if before is None or behind is None or not np.array_equal(scale.astype(np.float32), scale):
        return op  # with a batch norm in it, say, which onnxruntime computes in floats
    product = np.float32(before.scale) * scale.astype(np.float32)
    factor = (product / np.float32(behind.scale)).astype(np.float64)
    new = factor * behind.scale / before.scale
    ratio = torch.from_numpy(new / scale)
    return replace(
        op,
        weight=op.weight * ratio.reshape(-1, *(1,) * (op.weight.ndim - 1)),
        bias=op.bias * ratio,
        weight_scale=torch.from_numpy(new),
    )


def _grid_behind(graph: Graph, op: q.Op, readers: dict[str, list[q.Op]]) -> Quantization | None:
    """Return the one grid that an operator's results are put on, clipped before or not."""
    own = readers[op.output]
    if len(own) != 1:
        return None
    (reader,) = own
    if isinstance(reader, q.Copy):
        return graph.tensors[reader.output].quantization
    clips = isinstance(reader, q.Function) and q.bounds(reader.expression) is not None
    return _grid_behind(graph, reader, readers) if clips else None
