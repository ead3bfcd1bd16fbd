"""Channels of equal size before a norm, which takes their sizes out again.

A norm by the statistics of a group of channels gives the same whatever these are multiplied by, if
what keeps it from dividing by zero is multiplied too. So each group is scaled to one size, that
which calibration sees: 8 bits then serve all of them alike, in what is centred, squared, inverted.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.passes.rewrite import Rewrite

#: Sizes that differ by less are left alone.
_ALIKE = 1.25
#: Share of results that one ``eps`` for all groups may change.
_TOLERANCE = 1e-5


def balances(graph: Graph) -> list[q.Balance]:
    """Return the places where channels may be scaled."""
    return [op for op in graph.ops if isinstance(op, q.Balance)]


def balanced(graph: Graph, values: Mapping[str, Tensor]) -> Graph:
    """Replace every Balance: by factors, or by nothing where values of what it gives are not known.

    ``values`` (N, C, H, W)
    """
    rewrite = Rewrite(graph)
    factors: dict[str, Tensor] = {}
    for op in graph.ops:
        op = rewrite.current(op)
        match op:
            case q.Balance():
                scale = _scale(op, values.get(op.output))
                if scale is None:
                    rewrite.replace(op.output, op.inputs[0])
                    continue
                factors[op.output] = scale
                each = scale.repeat_interleave(rewrite.shapes[op.inputs[0]][0] // op.groups)
                rewrite.emit(q.Affine(op.name, op.inputs, op.output, each, torch.zeros_like(each)))
            case q.Regularized():
                rewrite.emit(_added(op, factors.get(op.balance), values.get(op.balance)))
            case _:
                rewrite.emit(op)
    return rewrite.finished()


def _spread(x: Tensor, groups: int) -> Tensor:
    """Return the variance of each group (G,), the mean of those of all images."""
    return x.double().reshape(len(x), groups, -1).var(2, correction=0).mean(0)


def _scale(op: q.Balance, x: Tensor | None) -> Tensor | None:
    """Return what brings each group of channels to the size of all, or None if they are alike."""
    if x is None:
        return None
    spread = _spread(x, op.groups)
    if not bool((spread > 0).any()):
        return None
    usual = spread[spread > 0].log().mean().exp()
    scale = torch.where(spread > 0, usual / spread.clamp(min=1e-30), 1.0).sqrt()
    return scale if float(scale.max() / scale.min()) > _ALIKE else None


def _added(op: q.Regularized, scale: Tensor | None, x: Tensor | None) -> q.Op:
    """Return what adds ``eps``, scaled as what it is added to where that is to be seen."""
    plain = q.Function(op.name, op.inputs, op.output, q.Apply("add", (q.X, op.eps)))
    if scale is None or x is None:
        return plain
    eps = op.eps * scale.square()
    power = _spread(x, len(scale)) * scale.square()
    error = (eps - op.eps).abs() / (2 * (power + eps).clamp(min=1e-30))
    if float(error.max()) < _TOLERANCE:
        return plain
    return q.Affine(op.name, op.inputs, op.output, torch.ones_like(eps), eps)
