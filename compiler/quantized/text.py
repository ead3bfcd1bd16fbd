"""The printed form of a quantized graph, to be read: weights are ranges, nothing parses it back."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from tilewright.compiler.quantized.graph import Graph


def print_graph(graph: Graph) -> str:
    """Print tensors with their grids, operators with their attributes, and results."""
    twice = " rounded twice" if graph.rounding == "double" else ""
    lines = [f"graph {graph.name}{twice}"]
    for name in graph.inputs:
        lines.append(f"  {_tensor(graph, name)} = input")
    for op in graph.ops:
        attributes = ", ".join(f"{k}={_value(v)}" for k, v in op.attributes().items())
        lines.append(
            f"  {_tensor(graph, op.output)} = {op.kind}({', '.join(op.inputs)})"
            f"{' ' if attributes else ''}{attributes}"
        )
    for view in graph.outputs:
        moved = "" if view.index is None else " by index"
        lines.append(f"  return {', '.join(view.sources)} as {view.shape}{moved}")
    return "\n".join([*lines, ""])


def _tensor(graph: Graph, name: str) -> str:
    info = graph.tensors[name]
    q = info.quantization
    shape = f"{name} {'x'.join(map(str, info.shape))}"
    if q is None:
        return shape
    narrow = "" if q.low is None and q.high is None else f" range={q.qmin}..{q.qmax}"
    kind = f"{'' if q.signed else 'u'}int{q.bits}"
    return f"{shape} {kind} scale={q.scale:.6g} zero_point={q.zero_point}{narrow}"


def _value(value: object) -> str:
    if isinstance(value, Tensor | np.ndarray):
        low, high = (float(value.min()), float(value.max())) if 0 not in value.shape else (0.0, 0.0)
        return f"{'x'.join(map(str, value.shape))}[{low:.4g}..{high:.4g}]"
    return str(value)
