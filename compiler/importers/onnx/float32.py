"""Factors between grids as onnxruntime computes them: in float32.

It multiplies a layer's sums by ``(x_scale * w_scale) / y_scale``, rounded to float32 at each step,
and the product is one of float32 again. Exact factors give other integers in some 5 of a million
elements. These are the factors in float32, moved by less than 2**-23 so that each sum whose product
is rounded onto a tie, or across one, goes the way that onnxruntime's goes. In some channels, a few
of a hundred, no factor does that for all sums: then it does for those that come up most.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from tilewright.compiler.quantized import Graph, Quantization
from tilewright.compiler.quantized import ops as q

_NEAR = 2.0**-23
"""How far, of itself, a product in float32 may be from the exact one."""


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
    factor = _moved(op, before, behind, product / np.float32(behind.scale))
    new = factor * behind.scale / before.scale
    ratio = torch.from_numpy(new / scale)
    return replace(
        op,
        weight=op.weight * ratio.reshape(-1, *(1,) * (op.weight.ndim - 1)),
        bias=op.bias * ratio,
        weight_scale=torch.from_numpy(new),
    )


def _moved(
    op: q.Weighted, before: Quantization, behind: Quantization, factor: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return factors (K,) with which every reachable sum is rounded as its product in float32."""
    assert op.weight_scale is not None
    scale = op.weight_scale.numpy()
    weight = np.rint(op.weight.reshape(len(scale), -1).numpy() / scale[:, None])
    bias = np.rint(op.bias.numpy() / (scale * before.scale))
    ends = np.array([before.qmin, before.qmax]) - before.zero_point
    reach = np.sort(weight[..., None] * ends, axis=-1).sum(axis=1) + bias[:, None]
    result = factor.astype(np.float64)
    between = np.arange(behind.qmin, behind.qmax) - behind.zero_point + 0.5
    for k, own in enumerate(factor):
        exact = float(own)
        sums = np.rint(between / exact)
        near = (np.abs(sums * exact - between) <= _NEAR * np.abs(between)) & (sums != 0)
        near &= (reach[k, 0] <= sums) & (sums <= reach[k, 1])
        above = np.rint(sums[near].astype(np.float32) * own) > between[near]
        result[k] = _best(exact, sums[near], between[near], above)
    return result


def _best(
    exact: float,
    sums: NDArray[np.float64],
    steps: NDArray[np.float64],
    above: NDArray[np.bool_],
) -> float:
    """Return the factor by which sums go above steps as they should, or most of them.

    Of those as good, the nearest to ``exact``. The larger a result, the less it counts: integers
    of feature maps are near their zero point.
    """
    low, high = exact * (1 - _NEAR), exact * (1 + _NEAR)
    bounds = steps / sums  # factors that make ties
    ends = np.unique([low, *bounds[(low < bounds) & (bounds < high)], high])
    candidates = np.array([exact, *(ends[1:] + ends[:-1]) / 2])
    wrong = (np.rint(sums * candidates[:, None]) > steps) != above
    costs = (wrong / np.abs(steps)).sum(axis=1)
    return float(candidates[np.lexsort((np.abs(candidates - exact), costs))[0]])


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
