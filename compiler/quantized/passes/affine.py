"""Batch norms and constants per channel fold into weights; what cannot is a step of its own."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.passes.rewrite import Rewrite

_ROUNDS = 20


def fold_affine(graph: Graph) -> Graph:
    """Fold every Affine into the operators before or behind it, or make it a Conv of one tap."""
    for _ in range(_ROUNDS):
        before = [op.output for op in graph.ops if isinstance(op, q.Affine)]
        graph = _fold_forward(_fold_back(graph))
        if before == [op.output for op in graph.ops if isinstance(op, q.Affine)]:
            break
    rewrite = Rewrite(graph)
    for op in graph.ops:
        op = rewrite.current(op)
        rewrite.emit(_conv(op) if isinstance(op, q.Affine) else op)
    return rewrite.finished()


def _conv(op: q.Affine) -> q.Conv:
    weight = op.scale[:, None, None, None]
    return q.Conv(
        op.name, op.inputs, op.output, weight, op.offset, None, 8,
        (1, 1), (0, 0, 0, 0), (1, 1), len(weight),
    )  # fmt: skip


def _fold_back(graph: Graph) -> Graph:
    """Into the operator before it, if nothing else reads what that writes."""
    uses, rewrite = graph.uses(), Rewrite(graph)
    for op in graph.ops:
        op = rewrite.current(op)
        if isinstance(op, q.Affine):
            before = rewrite.by_output.get(op.inputs[0])
            if before is not None and uses[before.output] == 1:
                folded = _after(rewrite, before, op, uses)
                if folded:
                    rewrite.ops.remove(before)
                    for new in folded:
                        rewrite.emit(new)
                    continue
        rewrite.emit(op)
    return rewrite.finished()


def _after(rewrite: Rewrite, before: q.Op, op: q.Affine, uses: dict[str, int]) -> list[q.Op]:
    """``op`` of the result of ``before``, folded; nothing if it does not fold."""
    match before:
        case q.Weighted() if not getattr(before, "moves", False):
            column = (-1, *(1,) * (before.weight.ndim - 1))
            steps = before.weight_scale
            if steps is not None:  # as many of them as before
                steps = torch.where(op.scale == 0, steps, steps * op.scale.abs())
            return [
                replace(
                    before,
                    output=op.output,
                    weight=before.weight * op.scale.reshape(column),
                    bias=before.bias * op.scale + op.offset,
                    weight_scale=steps,
                )
            ]
        case q.Affine():
            scale, offset = before.scale * op.scale, before.offset * op.scale + op.offset
            return [replace(op, inputs=before.inputs, scale=scale, offset=offset)]
        case q.AvgPool():
            factor = _uniform(op)
            if factor is not None and factor > 0:
                return [replace(before, output=op.output, divisor=before.divisor / factor)]
        case q.MatMul() | q.DynamicConv():
            factor = _uniform(op)
            if factor is not None and factor > 0:
                return [replace(before, output=op.output, factor=before.factor * factor)]
        case q.Function():
            return _before_clip(rewrite, before, op, uses)
    return []


def _before_clip(
    rewrite: Rewrite, clip: q.Function, op: q.Affine, uses: dict[str, int]
) -> list[q.Op]:
    """Scale before a clip instead of behind it, where a layer takes the scale."""
    bounds = q.bounds(clip.expression)
    source = rewrite.by_output.get(clip.inputs[0])
    if bounds is None or not isinstance(source, q.Weighted | q.Affine):
        return []
    if uses[clip.inputs[0]] != 1 or not bool((op.scale > 0).all()):
        return []
    ends = []
    for bound in bounds:
        if math.isinf(bound):
            ends.append(bound)
            continue
        moved = bound * op.scale + op.offset
        if not bool((moved == moved[0]).all()):
            return []
        ends.append(float(moved[0]))
    inner = rewrite.unique(f"{op.output}.unclipped")
    return [
        replace(op, inputs=clip.inputs, output=inner),
        q.Function(clip.name, (inner,), op.output, q.Apply("clamp", (q.X, *ends))),
    ]


def _uniform(op: q.Affine) -> float | None:
    """Return the one factor of all channels, if there is no offset."""
    same = bool((op.scale == op.scale[0]).all()) and not bool(op.offset.any())
    return float(op.scale[0]) if same else None


def _fold_forward(graph: Graph) -> Graph:
    """Into weights of layers behind it, unless they are integers already."""
    rewrite = Rewrite(graph)
    for op in graph.ops:
        op = rewrite.current(op)
        source = rewrite.by_output.get(op.inputs[0]) if op.inputs else None
        if isinstance(source, q.Affine) and isinstance(op, q.Weighted) and op.weight_scale is None:
            op = _before(op, source, rewrite)
        rewrite.emit(op)
    return rewrite.finished()


def _before(op: q.Weighted, source: q.Affine, rewrite: Rewrite) -> q.Op:
    """``op`` of the result of ``source``, folded, or ``op`` as it is."""
    shifts = bool(source.offset.any())
    match op:
        case q.Conv() if not op.moves and not (shifts and any(op.padding)):
            k, per_group = op.weight.shape[:2]
            scale, offset = (
                _per_weight(t, k, per_group, op.groups) for t in (source.scale, source.offset)
            )
            bias = op.bias + (op.weight * offset).sum((1, 2, 3))
            return replace(op, inputs=source.inputs, weight=op.weight * scale, bias=bias)
        case q.ConvTranspose() if not op.moves and not shifts:
            k, per_group = op.weight.shape[:2]
            scale = _per_weight(source.scale, k, per_group, op.groups)
            return replace(op, inputs=source.inputs, weight=op.weight * scale)
        case q.Linear():
            _, h, w = rewrite.shapes[source.inputs[0]]
            scale, offset = (t.repeat_interleave(h * w) for t in (source.scale, source.offset))
            bias = op.bias + op.weight @ offset
            return replace(op, inputs=source.inputs, weight=op.weight * scale, bias=bias)
    return op


def _per_weight(values: Tensor, kernels: int, per_group: int, groups: int) -> Tensor:
    """Values of the input channels that each kernel reads, (K, C / groups, 1, 1)."""
    by_group = values.reshape(groups, 1, per_group)
    full = by_group.expand(groups, kernels // groups, per_group)
    return torch.clone(full.reshape(kernels, per_group, 1, 1))
