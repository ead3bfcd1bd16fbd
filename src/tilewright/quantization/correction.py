"""Corrects biases for the mean error that rounding makes, channel by channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tilewright.compiler.quantized import Graph
from tilewright.compiler.quantized import ops as q
from tilewright.quantization.weights import with_bias


def correct_biases(
    real: Graph,
    graph: Graph,
    batches: Sequence[Sequence[Tensor]],
    advance: Callable[[], None],
) -> Graph:
    """Add to each bias what the layer's sums lack on average, layer after layer.

    Inputs are those of the quantized network so far, so that errors of layers before count too.

    Parameters
    ----------
    real : the graph before its weights were quantized
    advance : called after every batch
    """
    totals: dict[str, Tensor] = {}
    images = 0
    for batch in batches:
        for name, lack in _lacks(real, graph, batch).items():
            totals[name] = totals.get(name, torch.zeros_like(lack)) + len(batch[0]) * lack
        images += len(batch[0])
        advance()
    ops = []
    for op in graph.ops:
        if op.output in totals:
            assert isinstance(op, q.Weighted)
            op = with_bias(graph, op, op.bias + totals[op.output] / images)
        ops.append(op)
    return replace(graph, ops=tuple(ops))


def _lacks(real: Graph, graph: Graph, batch: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return what the sums of each layer lack on average over a batch, by channel."""
    wanted = real.values(batch)
    result: dict[str, Tensor] = {}

    def corrected(op: q.Op, x: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        if not isinstance(op, q.Weighted) or getattr(op, "moves", False):
            return x
        lack = (wanted[op.output].double() - x.double()).mean((0, 2, 3))
        result[op.output] = lack
        return x + lack.to(x.dtype)[:, None, None]

    graph.values(batch, quantized=True, after=corrected)
    return result
