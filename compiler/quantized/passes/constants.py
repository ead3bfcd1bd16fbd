"""Operators that read only constants become constants."""

from __future__ import annotations

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.passes.rewrite import Rewrite


def fold_constants(graph: Graph) -> Graph:
    """Compute what does not depend on the inputs."""
    rewrite = Rewrite(graph)
    for op in graph.ops:
        op = rewrite.current(op)
        sources = [rewrite.by_output.get(name) for name in op.inputs]
        known = [s.value for s in sources if isinstance(s, q.Constant)]
        if op.inputs and len(known) == len(op.inputs):
            value = op.evaluate(*(v[None] for v in known))[0]
            op = q.Constant(op.name, (), op.output, value)
        rewrite.emit(op)
    return rewrite.finished()
