"""Sums of many terms: one convolution instead of a chain of additions, with one rounding."""

from __future__ import annotations

import numpy as np
import torch

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
        channels, count = rewrite.shapes[op.inputs[0]][0], len(names)
        both = rewrite.emit(q.Concat(op.name, names, rewrite.unique(f"{op.name}.terms")))
        order = np.arange(count * channels).reshape(count, channels).T.reshape(-1)
        terms_name = rewrite.unique(f"{op.name}.terms")
        selected = rewrite.emit(q.Select(op.name, (both,), terms_name, order))
        rewrite.emit(
            q.Conv(
                op.name, (selected,), op.output,
                torch.ones(channels, count, 1, 1, dtype=torch.float64),
                torch.zeros(channels, dtype=torch.float64),
                None, 8, (1, 1), (0, 0, 0, 0), (1, 1), channels,
            )
        )  # fmt: skip
    return rewrite.finished()
