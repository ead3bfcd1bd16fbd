"""Operators that read only constants become constants."""

from __future__ import annotations

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.passes.rewrite import Rewrite
from tilewright.compiler.quantized.types import Quantization


def fold_constants(graph: Graph) -> Graph:
    """Compute what does not depend on the inputs."""
    rewrite, kept = Rewrite(graph), dict[str, Quantization]()
    for op in graph.ops:
        op = rewrite.current(op)
        sources = [rewrite.by_output.get(name) for name in op.inputs]
        known = [s.value for s in sources if isinstance(s, q.Constant)]
        if op.inputs and len(known) == len(op.inputs):
            value = op.evaluate(*(v[None] for v in known))[0]
            grids = {
                graph.tensors[name].quantization for name in op.inputs if name in graph.tensors
            }
            moved = op.keeps_grid and len(grids) == 1
            op = q.Constant(op.name, (), op.output, value)
            if moved and (grid := grids.pop()) is not None:
                kept[op.output] = grid
        rewrite.emit(op)
    return rewrite.finished().with_quantization(kept)
