"""Sums of many terms, or of scaled ones: one convolution, with one rounding, for all of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.passes.rewrite import Rewrite

_LEAST_TERMS = 4


def merge_sums(graph: Graph) -> Graph:
    """Replace chains of additions whose inner sums nothing else reads."""
    uses, producers = graph.uses(), graph.producers()

    def terms(name: str, top: bool = False) -> list[str]:
        op = producers.get(name)
        if isinstance(op, q.Binary) and op.function == "add" and (top or uses[name] == 1):
            return [t for operand in op.inputs for t in terms(operand)]
        return [name]

    inner = {
        name
        for op in graph.ops
        if isinstance(op, q.Binary) and op.function == "add"
        for name in op.inputs
        if uses[name] == 1
    }
    rewrite = Rewrite(graph)
    for op in graph.ops:
        found = []
        if isinstance(op, q.Binary) and op.function == "add" and op.output not in inner:
            found = terms(op.output, top=True)
        op = rewrite.current(op)
        if len(found) < _LEAST_TERMS or len(set(found)) < len(found):
            rewrite.emit(op)
            continue
        names = tuple(rewrite.current(q.Copy("", (name,), "")).inputs[0] for name in found)
        channels = rewrite.shapes[op.inputs[0]][0]
        ones = torch.ones(channels, len(names), dtype=torch.float64)
        _emit_sum(rewrite, op, names, ones, torch.zeros(channels, dtype=torch.float64))
    return rewrite.finished()


def scaled_sums(graph: Graph) -> Graph:
    """Take factors and offsets of terms, as those of differences, into the sum.

    So a term is not rounded after it is scaled, nor is the sum before it is.
    """
    uses, rewrite = graph.uses(), Rewrite(graph)
    made: set[str] = set()
    for op in graph.ops:
        op = rewrite.current(op)
        if isinstance(op, q.Conv) and _is_line(op):
            before = rewrite.by_output.get(op.inputs[0])
            if isinstance(before, q.Conv) and before.output in made and uses[before.output] == 1:
                _into_weights(rewrite, op, before)
                made.add(op.output)
                continue
            if _into_sum(rewrite, op, uses):
                made.add(op.output)
                continue
        if not (isinstance(op, q.Binary) and op.function == "add" and op.shared is None):
            rewrite.emit(op)
            continue
        scaled = [rewrite.by_output.get(name) for name in op.inputs]
        lines = [
            x if x is not None and _is_line(x) and uses[x.output] == 1 else None for x in scaled
        ]
        names = tuple(
            name if x is None else x.inputs[0] for name, x in zip(op.inputs, lines, strict=True)
        )
        if lines == [None, None] or names[0] == names[1]:
            rewrite.emit(op)
            continue
        one = torch.ones(rewrite.shapes[names[0]][0], dtype=torch.float64)
        weight = torch.stack([one if x is None else x.weight.flatten() for x in lines], 1)
        bias = sum((x.bias for x in lines if x is not None), torch.zeros_like(one))
        _emit_sum(rewrite, op, names, weight, bias)
        made.add(op.output)
    return rewrite.finished()


def _into_weights(rewrite: Rewrite, op: q.Conv, before: q.Conv) -> None:
    """Scale a sum of scaled terms by its weights."""
    rewrite.ops.remove(before)
    bias = before.bias * op.weight.flatten() + op.bias
    rewrite.emit(replace(before, output=op.output, weight=before.weight * op.weight, bias=bias))


def _into_sum(rewrite: Rewrite, op: q.Conv, uses: Counter[str]) -> bool:
    """Scale a sum's terms instead of the sum, behind which its channels may be put in order."""
    moves: list[q.Select] = []
    name = op.inputs[0]
    while isinstance(move := rewrite.by_output.get(name), q.Select) and uses[name] == 1:
        moves.append(move)
        name = move.inputs[0]
    total = rewrite.by_output.get(name)
    if not isinstance(total, q.Binary) or total.function != "add" or total.shared is not None:
        return False
    scale, bias = op.weight.flatten(), op.bias
    for move in moves:
        back = torch.from_numpy(np.argsort(move.channels))
        if not np.array_equal(np.sort(move.channels), np.arange(rewrite.shapes[move.inputs[0]][0])):
            return False
        scale, bias = scale[back], bias[back]
    if uses[name] != 1 or total.inputs[0] == total.inputs[1]:
        return False
    for gone in (total, *moves):
        rewrite.ops.remove(gone)
    scaled = rewrite.unique(f"{op.output}.sum") if moves else op.output
    weight = torch.stack([scale, scale], 1)
    _emit_sum(rewrite, replace(total, output=scaled), total.inputs, weight, bias)
    for place, move in reversed(list(enumerate(moves))):
        output = rewrite.unique(f"{op.output}.channels") if place else op.output
        scaled = rewrite.emit(replace(move, inputs=(scaled,), output=output))
    return True


def _is_line(op: q.Op) -> TypeGuard[q.Conv]:
    """Whether an operator scales and shifts channels, and does nothing else."""
    return (
        isinstance(op, q.Conv)
        and op.weight_scale is None
        and op.weight.shape == (op.groups, 1, 1, 1)
        and op.stride == (1, 1)
        and not any(op.padding)
        and not op.moves
    )


def _emit_sum(
    rewrite: Rewrite, op: q.Op, names: tuple[str, ...], weight: Tensor, bias: Tensor
) -> None:
    """Emit ``op`` as the sum of terms times weights (C, terms), and a bias (C,)."""
    channels, count = weight.shape
    both = rewrite.emit(q.Concat(op.name, names, rewrite.unique(f"{op.name}.terms")))
    order = np.arange(count * channels).reshape(count, channels).T.reshape(-1)
    terms_name = rewrite.unique(f"{op.name}.terms")
    selected = rewrite.emit(q.Select(op.name, (both,), terms_name, order))
    rewrite.emit(
        q.Conv(
            op.name, (selected,), op.output, weight[:, :, None, None], bias, None, 8,
            (1, 1), (0, 0, 0, 0), (1, 1), channels,
        )
    )  # fmt: skip
