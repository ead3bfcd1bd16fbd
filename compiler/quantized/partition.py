"""A graph of which the host computes parts, cut into segments for the engine and for the host.

Whatever the host computes, and an input that it reads, is in reals; a ``Copy`` puts it on a grid
for the engine. So segments meet at copies, and at tensors on grids that the host reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.host import HostModel
from tilewright.compiler.ir.results import ResultView
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import Graph, View
from tilewright.compiler.quantized.passes.rewrite import Rewrite
from tilewright.compiler.quantized.views import canonical
from tilewright.errors import UnsupportedError


@dataclass(frozen=True, eq=False)
class EngineSegment:
    """What the engine computes in one go.

    Parameters
    ----------
    graph : Graph
    reads : tensor of the whole graph that each of its inputs is, before it is put on a grid
    writes : tensor of the whole graph that each of its outputs is
    """

    graph: Graph
    reads: tuple[str, ...]
    writes: tuple[str, ...]


Segment = EngineSegment | q.Host


def emit_host(
    builder: Builder, where: str, model: HostModel, arguments: Sequence[View], shape: Sequence[int]
) -> View:
    """Add a part that the host computes of some tensors, with a result of ``shape``."""
    sources = tuple(dict.fromkeys(name for view in arguments for name in view.sources))
    views = tuple(
        ResultView(tuple(map(sources.index, view.sources)), view.shape, view.index)
        for view in arguments
    )
    output = builder.unique(f"{where}.host")
    op = q.Host(where, sources, output, model, views, canonical(shape))
    return View((builder.emit(op),), tuple(shape))


def real_tensors(graph: Graph) -> frozenset[str]:
    """Return tensors on no grid because the host computes them, or reads them as inputs."""
    hosts = [op for op in graph.ops if isinstance(op, q.Host)]
    read = {name for op in hosts for name in op.inputs}
    return frozenset({op.output for op in hosts} | (read & set(graph.inputs)))


def with_crossings(graph: Graph) -> Graph:
    """Give the engine a copy of all that it reads of the host, to be put on a grid."""
    real = real_tensors(graph)
    if not real:
        return graph
    rewrite = Rewrite(graph)
    copies: dict[str, str] = {}

    def copied(where: str, name: str) -> str:
        if name not in copies:
            copy = q.Copy(where, (name,), rewrite.unique(f"{name}.copy"))
            copies[name] = rewrite.emit(copy)
        return copies[name]

    for op in graph.ops:
        if not isinstance(op, q.Host | q.Copy):
            names = (copied(op.name, n) if n in real else n for n in op.inputs)
            op = replace(op, inputs=tuple(names))
        rewrite.emit(op)
    outputs = tuple(
        replace(view, sources=tuple(copied("output", n) if n in real else n for n in view.sources))
        for view in graph.outputs
    )
    return graph.with_ops(rewrite.ops, outputs)


def segments(graph: Graph) -> list[Segment]:
    """Return segments in an order in which they can run.

    Raises
    ------
    UnsupportedError  If the host would have to put a tensor on a grid for itself.
    """
    if not any(isinstance(op, q.Host) for op in graph.ops):
        return [EngineSegment(replace(graph, tail=None), graph.inputs, ())]
    real, stages = real_tensors(graph), _stages(graph)
    last = max(stages.values())
    result: list[Segment] = []
    for stage in range(last + 1):
        ops = [op for op in graph.ops if stages[op.output] == stage]
        if stage % 2 == 0:
            result += [op for op in ops if isinstance(op, q.Host)]
        elif ops:
            result.append(_engine(graph, ops, real))
    return result


def _stages(graph: Graph) -> dict[str, int]:
    """Stage of each operator, by its output: even ones are the host's."""
    stages = dict.fromkeys(graph.inputs, 0)
    for op in graph.ops:
        odd = not isinstance(op, q.Host)
        before = max((stages[name] for name in op.inputs), default=1)
        stages[op.output] = before + (before % 2 != odd)
    return stages


def _engine(graph: Graph, ops: Sequence[q.Op], real: frozenset[str]) -> EngineSegment:
    """Return the segment of some operators."""
    own = {op.output for op in ops}
    inputs: dict[str, str] = {}  # the segment's, and what each is in the whole graph
    kept = []
    for op in ops:
        if isinstance(op, q.Copy) and op.inputs[0] in real:
            inputs[op.output] = op.inputs[0]
            continue
        kept.append(op)
        inputs |= {name: name for name in op.inputs if name not in own}
    writes = _read_later(graph, own)
    if given := [name for name in writes if name in inputs]:
        raise UnsupportedError(
            given[0],
            "a tensor that the host computes, puts on a grid, and reads again",
            "Leave its quantizer out, or use it in the engine.",
        )
    tensors = {name: graph.tensors[name] for name in (*inputs, *own)}
    shapes = tuple(graph.shape(name) for name in inputs)
    outputs = tuple(View((name,), graph.shape(name)) for name in writes)
    part = Graph(graph.name, tensors, tuple(inputs), shapes, (), outputs, graph.rounding)
    return EngineSegment(part.with_ops(kept), tuple(inputs.values()), writes)


def _read_later(graph: Graph, own: set[str]) -> tuple[str, ...]:
    """Return tensors that operators of other segments read, or that are results."""
    wanted = {name for view in graph.outputs for name in view.sources}
    for op in graph.ops:
        if op.output not in own:
            wanted.update(op.inputs)
    return tuple(name for name in graph.tensors if name in own and name in wanted)
