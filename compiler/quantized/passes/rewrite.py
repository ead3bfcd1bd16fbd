"""What passes share: a graph that is being rewritten."""

from __future__ import annotations

from dataclasses import replace

from tilewright.compiler.quantized.graph import Graph, View
from tilewright.compiler.quantized.ops import Op
from tilewright.compiler.quantized.types import Shape


class Rewrite:
    """Operators of a new graph, in order; tensors may be replaced by others."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ops: list[Op] = []
        self.shapes: dict[str, Shape] = {name: graph.shape(name) for name in graph.inputs}
        self.by_output: dict[str, Op] = {}
        self._renamed: dict[str, str] = {}
        self._taken = set(graph.tensors)

    def unique(self, stem: str) -> str:
        """Return a new tensor's name."""
        name, count = stem, 1
        while name in self._taken:
            count += 1
            name = f"{stem}#{count}"
        self._taken.add(name)
        return name

    def current(self, op: Op) -> Op:
        """``op`` with its inputs as they are called now."""
        return replace(op, inputs=tuple(self._renamed.get(n, n) for n in op.inputs))

    def emit(self, op: Op) -> str:
        """Append an operator; returns its output's name."""
        self.ops.append(op)
        self.by_output[op.output] = op
        self.shapes[op.output] = op.shape([self.shapes[n] for n in op.inputs])
        return op.output

    def replace(self, old: str, new: str) -> None:
        """Read ``new`` where ``old`` was read."""
        self._renamed[old] = new

    def finished(self) -> Graph:
        """Return the new graph."""
        outputs = tuple(
            View(tuple(self._renamed.get(n, n) for n in v.sources), v.shape, v.index)
            for v in self.graph.outputs
        )
        return self.graph.with_ops(self.ops, outputs)
