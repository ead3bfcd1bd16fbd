"""Differences, quotients, minima and products in terms of what the engine has."""

from __future__ import annotations

from dataclasses import replace

import torch

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.passes.rewrite import Rewrite
from tilewright.errors import UnsupportedError


def lower_arithmetic(graph: Graph) -> Graph:
    """Leave sums, maxima and products with one factor per channel, and TFLite's differences.

    Raises
    ------
    UnsupportedError  For a power of two tensors.
    """
    rewrite = Rewrite(graph)
    for op in graph.ops:
        op = rewrite.current(op)
        # TFLite's differences are no sums: it rounds operands before.
        if isinstance(op, q.Binary) and (op.function, graph.rounding) != ("sub", "double"):
            rewrite.replace(op.output, _lowered(rewrite, op))
        else:
            rewrite.emit(op)
    return rewrite.finished()


def _lowered(rewrite: Rewrite, op: q.Binary) -> str:
    a, b = op.inputs
    name = rewrite.unique(op.output)
    match op.function:
        case "sub":
            minus = _scaled(rewrite, op.name, b, -1.0)
            return rewrite.emit(q.Binary(op.name, (a, minus), name, "add"))
        case "minimum":
            both = (_scaled(rewrite, op.name, a, -1.0), _scaled(rewrite, op.name, b, -1.0))
            most = rewrite.emit(q.Binary(op.name, both, name, "maximum"))
            return _scaled(rewrite, op.name, most, -1.0)
        case "div":
            inverse = _reciprocal(rewrite, op.name, b)
            return rewrite.emit(q.Binary(op.name, (a, inverse), name, "mul"))
        case "pow":
            raise UnsupportedError(
                op.name, "a power of two tensors", "Use a constant exponent, or a constant base."
            )
    return rewrite.emit(q.Binary(op.name, (a, b), name, op.function))


def _reciprocal(rewrite: Rewrite, where: str, x: str) -> str:
    """Emit ``1 / x``, of a tensor that is repeated before it is."""
    move = rewrite.by_output.get(x)
    repeats = isinstance(move, q.Move) and len(move.inputs) == 1 and int(move.index.min()) >= 0
    source = move.inputs[0] if move is not None and repeats else x
    inverse = rewrite.emit(
        q.Function(
            where,
            (source,),
            rewrite.unique(f"{where}.reciprocal"),
            q.Apply("reciprocal", (q.X,)),
        )
    )
    if not isinstance(move, q.Move) or not repeats:
        return inverse
    return rewrite.emit(
        replace(move, inputs=(inverse,), output=rewrite.unique(f"{where}.reciprocal.moved"))
    )


def _scaled(rewrite: Rewrite, where: str, x: str, factor: float) -> str:
    channels = rewrite.shapes[x][0]
    scale = torch.full((channels,), factor, dtype=torch.float64)
    stem = f"{where}.minus" if factor == -1 else f"{where}.scaled"
    return rewrite.emit(q.Affine(where, (x,), rewrite.unique(stem), scale, torch.zeros_like(scale)))
