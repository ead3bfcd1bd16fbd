"""Values of every tensor of a graph over the calibration images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tilewright.compiler.quantized import Graph
from tilewright.compiler.quantized.passes import Spread, balanced, balances
from tilewright.errors import Error
from tilewright.quantization.ranges import Histogram


def real_values(graph: Graph, images: Sequence[Tensor]) -> dict[str, Tensor]:
    """Compute every tensor of a network in floats.

    Raises
    ------
    Error  Naming the first layer whose values are not finite.
    """
    with torch.no_grad():
        values = graph.values(images)
    for op in graph.ops:
        if not bool(values[op.output].isfinite().all()):
            raise Error(
                f"{op.name}: calibration images lead to values that are no numbers or infinite, as "
                "of a root or logarithm of what is negative, or a division by zero. Keep what goes "
                "into it in range, as by torch.clamp(x, min=1e-6), or leave such images out"
            )
    return values


def observe(
    graph: Graph, batches: Sequence[Sequence[Tensor]], advance: Callable[[], None]
) -> dict[str, Histogram]:
    """Count the values of each tensor; ``advance`` is called after every batch."""
    seen = {name: Histogram() for name in graph.tensors}
    for batch in batches:
        for name, x in real_values(graph, batch).items():
            seen[name].add(x)
        advance()
    return seen


def evened(graph: Graph, images: Sequence[Tensor]) -> Graph:
    """Scale channels before norms to one size."""
    found = balances(graph)
    if not found:
        return graph
    values = real_values(graph, images)
    return balanced(graph, {op.output: values[op.output] for op in found})


def spreads(graph: Graph, names: Sequence[str], images: Sequence[Tensor]) -> dict[str, Spread]:
    """Spread of the values of some tensors."""
    if not names:
        return {}
    values = real_values(graph, images)
    return {name: Spread.of(values[name]) for name in names}
