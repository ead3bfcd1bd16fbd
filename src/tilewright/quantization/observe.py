"""Values of every tensor of a graph over the calibration images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tilewright.compiler.quantized import Graph
from tilewright.compiler.quantized.passes import Spread, balanced, balances
from tilewright.quantization.ranges import Histogram


def observe(
    graph: Graph, batches: Sequence[Sequence[Tensor]], advance: Callable[[], None]
) -> dict[str, Histogram]:
    """Count the values of each tensor; ``advance`` is called after every batch."""
    seen = {name: Histogram() for name in graph.tensors}
    with torch.no_grad():
        for batch in batches:
            for name, x in graph.values(batch).items():
                seen[name].add(x)
            advance()
    return seen


def evened(graph: Graph, images: Sequence[Tensor]) -> Graph:
    """Scale channels before norms to one size."""
    found = balances(graph)
    if not found:
        return graph
    with torch.no_grad():
        values = graph.values(images)
    return balanced(graph, {op.output: values[op.output] for op in found})


def spreads(graph: Graph, names: Sequence[str], images: Sequence[Tensor]) -> dict[str, Spread]:
    """Spread of the values of some tensors."""
    if not names:
        return {}
    with torch.no_grad():
        values = graph.values(images)
    return {name: Spread.of(values[name]) for name in names}
