"""A quantized graph of which the host computes parts, to programs and models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tilewright.api.compile_graph import compile_graph
from tilewright.compiler.ir import ResultView
from tilewright.compiler.quantized import Graph, View
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.partition import EngineSegment, segments
from tilewright.compiler.quantized.to_integer import to_integer
from tilewright.compiler.schedule import Objective
from tilewright.program.hosted import EnginePart, Gather, HostedInput, HostedProgram, HostPart
from tilewright.target import Target


def compile_parts(
    graph: Graph,
    target: Target,
    *,
    objective: Objective,
    algorithms: Mapping[str, str],
    examples: Any,
    batch: int,
) -> HostedProgram:
    """Compile each segment of a graph; arguments as for :func:`tilewright.compile`."""
    found = segments(graph)
    captures = {i: to_integer(s.graph) for i, s in enumerate(found) if isinstance(s, EngineSegment)}
    names = {i: {op.name for op in c.graph.layers} for i, c in captures.items()}
    known = set().union(*names.values())
    parts: list[EnginePart | HostPart] = []
    for i, segment in enumerate(found):
        if isinstance(segment, q.Host):
            parts.append(_host(segment))
            continue
        capture, alone = captures[i], len(found) == 1
        own = {n: a for n, a in algorithms.items() if n not in known or n in names[i]}
        program = compile_graph(
            capture.graph,
            target,
            objective=objective,
            algorithms=own,
            examples=examples if alone else None,
            input_shapes=capture.input_shapes,
            results=capture.results,
            batch=batch,
        )
        writes = segment.writes or tuple(f"result {k}" for k in range(len(capture.results)))
        parts.append(EnginePart(program, segment.reads, writes))
    inputs = tuple(
        HostedInput(name, shape, graph.shape(name))
        for name, shape in zip(graph.inputs, graph.input_shapes, strict=True)
    )
    return HostedProgram(inputs, tuple(parts), _outputs(graph, found), graph.tail)


def _host(op: q.Host) -> HostPart:
    arguments = tuple(
        Gather(tuple(op.inputs[i] for i in v.sources), _alone(v.shape, v)) for v in op.arguments
    )
    return HostPart(op.name, op.model, arguments, op.output, op.canonical)


def _outputs(graph: Graph, found: list[q.Host | EngineSegment]) -> tuple[Gather, ...]:
    if len(found) == 1:  # the one program presents them as the network has them
        return tuple(
            Gather((f"result {k}",), ResultView((0,), view.shape))
            for k, view in enumerate(graph.outputs)
        )
    return tuple(Gather(view.sources, _alone(view.shape, view)) for view in graph.outputs)


def _alone(shape: tuple[int, ...], view: View | ResultView) -> ResultView:
    """Return a view of tensors in the order in which it names them."""
    return ResultView(tuple(range(len(view.sources))), shape, view.index)
