"""Files of quantized networks round where they say, and nowhere else.

What is moved, pooled by maxima or joined before it is rounded is rounded first: rounding is
monotone, so it makes no difference. What an operator reads unrounded, as its sums are, is refused:
the engine has no reals.
"""

from __future__ import annotations

import math
from dataclasses import replace

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.passes.rewrite import Rewrite
from tilewright.compiler.quantized.types import Quantization
from tilewright.errors import UnsupportedError

_REMEDY = "Quantize it, too: a quantizer and a dequantizer behind it."


def round_early(graph: Graph) -> Graph:
    """Round what is moved or joined before it is, and check that all else reads what is rounded.

    Raises
    ------
    UnsupportedError  Naming the layer whose result is read before it is rounded.
    """
    return _Rounding(graph).run()


class _Rounding:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers = graph.readers()
        self.rewrite = Rewrite(graph)
        self.grids: dict[str, Quantization] = {}
        self.added: dict[str, Quantization] = {}

    def run(self) -> Graph:
        for old in self.graph.ops:
            op, grid = self.rewrite.current(old), self.graph.tensors[old.output].quantization
            if grid is not None:
                self.grids[op.output] = grid
            elif op.keeps_grid:
                op = self._keeping(op)
            elif isinstance(op, q.Affine):
                op = self._line(op)
            elif not (isinstance(op, q.Function) and q.bounds(op.expression) is not None):
                for name in op.inputs:
                    if not (isinstance(op, q.Host) and name in self.graph.inputs):
                        self._check(name, op.name)
            self.rewrite.emit(op)
        for view in self.graph.outputs:
            for name in view.sources:
                self._check(name, "the caller")
        return self.rewrite.finished().with_quantization(self.added)

    def _check(self, name: str, reader: str) -> None:
        if name in self.grids:
            return
        producer = self.rewrite.by_output.get(name)
        where = name if producer is None else producer.name
        raise UnsupportedError(
            where, f"its result is not quantized where {reader} reads it", _REMEDY
        )

    def _keeping(self, op: q.Op) -> q.Op:
        """Put what an operator moves or joins on one grid."""
        known = {self.grids.get(name) for name in op.inputs}
        grid = next(iter(known)) if len(known) == 1 else None
        if grid is None:
            grid = self._behind(op.output)
        if grid is None:
            for name in op.inputs:
                self._check(name, op.name)
            raise UnsupportedError(
                op.name, "it joins tensors of different scales, and is not quantized", _REMEDY
            )
        names = []
        for name in op.inputs:
            if self.grids.get(name) != grid:
                copy = self.rewrite.unique(f"{name}.rounded")
                name = self.rewrite.emit(q.Copy(op.name, (name,), copy))
                self.grids[name] = self.added[name] = grid
            names.append(name)
        self.grids[op.output] = grid
        return replace(op, inputs=tuple(names))

    def _behind(self, name: str) -> Quantization | None:
        """Return the grid that a tensor is put on next, moved or clipped before or not."""
        for op in self.readers.get(name, []):
            if (grid := self.graph.tensors[op.output].quantization) is not None:
                return grid
            clips = isinstance(op, q.Function) and q.bounds(op.expression) is not None
            if (op.keeps_grid or clips) and (grid := self._behind(op.output)) is not None:
                return grid
        return None

    def _line(self, op: q.Affine) -> q.Op:
        """Make a table of a line with an offset, which a bias in steps of its input is not."""
        scale, offset = float(op.scale[0]), float(op.offset[0])
        alike = bool((op.scale == scale).all()) and bool((op.offset == offset).all())
        grid = self.grids.get(op.inputs[0])
        if grid is None or not alike:
            return op
        if (scale, offset) == (-1, 0):  # on the same grid, mirrored
            mirrored = grid.qmin + grid.qmax - grid.zero_point
            self.grids[op.output] = replace(grid, zero_point=mirrored)
        if not offset:
            return op
        line = q.Apply("add", (q.Apply("mul", (q.X, scale)), offset))
        table = q.Apply("clamp", (line, -math.inf, math.inf))
        return q.Function(op.name, op.inputs, op.output, table)
