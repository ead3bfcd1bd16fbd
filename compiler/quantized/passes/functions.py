"""Elementwise functions of one tensor become one operator, however they were written.

``x * sigmoid(x)`` is a function of x; so is a chain of functions that nothing else reads. What
remains is a clip, which fuses with the operator before it, a line, which folds, or a table.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.passes.rewrite import Rewrite


def fuse_functions(graph: Graph) -> Graph:
    """Merge functions; lines become Affine."""
    graph = _merge_chains(_functions_of_one(graph))
    rewrite = Rewrite(graph)
    for op in graph.ops:
        op = rewrite.current(op)
        line = q.line(op.expression) if isinstance(op, q.Function) else None
        if line is not None:
            channels = rewrite.shapes[op.inputs[0]][0]
            scale, offset = (torch.full((channels,), v, dtype=torch.float64) for v in line)
            op = q.Affine(op.name, op.inputs, op.output, scale, offset)
        rewrite.emit(op)
    return rewrite.finished()


def _functions_of_one(graph: Graph) -> Graph:
    """Turn functions of two tensors that are functions of one into a function of that."""
    rewrite = Rewrite(graph)
    for op in graph.ops:
        op = rewrite.current(op)
        if isinstance(op, q.Binary):
            chains = [_chain(rewrite, name) for name in op.inputs]
            common = next((name for name in chains[0] if name in chains[1]), None)
            if common is not None and rewrite.shapes[common] == rewrite.shapes[op.inputs[0]]:
                expression = q.Apply(op.function, (chains[0][common], chains[1][common]))
                op = q.Function(op.name, (common,), op.output, expression)
        rewrite.emit(op)
    return rewrite.finished()


def _chain(rewrite: Rewrite, name: str) -> dict[str, q.Expression]:
    """Return a tensor and those it is a function of, nearest first, with the function of each."""
    result: dict[str, q.Expression] = {name: q.X}
    expression: q.Expression = q.X
    while isinstance(op := rewrite.by_output.get(name), q.Function):
        expression = q.substitute(expression, op.expression)
        name = op.inputs[0]
        result[name] = expression
    return result


def _merge_chains(graph: Graph) -> Graph:
    uses, rewrite = graph.uses(), Rewrite(graph)
    for op in graph.ops:
        op = rewrite.current(op)
        while isinstance(op, q.Function):
            inner = rewrite.by_output.get(op.inputs[0])
            if not isinstance(inner, q.Function) or uses[inner.output] > 1:
                break
            if not _merges(inner.expression, op.expression):
                break
            expression = q.substitute(op.expression, inner.expression)
            op = replace(op, inputs=inner.inputs, expression=expression)
        rewrite.emit(op)
    return rewrite.finished()


def _merges(inner: q.Expression, outer: q.Expression) -> bool:
    """Whether two functions in a row are better one; clips and lines fold into others instead."""
    clips = [q.bounds(e) is not None for e in (inner, outer)]
    lines = [q.line(e) is not None for e in (inner, outer)]
    tables = [not c and not ln for c, ln in zip(clips, lines, strict=True)]
    return any(tables) or all(clips) or all(lines)
