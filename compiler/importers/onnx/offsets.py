"""Scales and offsets of channels between two grids, as of a batch norm that no convolution takes.

The engine computes ``(n * x + b) * factor`` with an integer ``n`` for a weight, so an offset is a
multiple of 1/n of a step of x. The largest ``n`` is not the best one: of the 127 fractions
``b / n`` one comes, as a rule, within 1/5000 of a step.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from tilewright.compiler.quantized import Graph
from tilewright.compiler.quantized import ops as q


def with_fine_offsets(graph: Graph) -> Graph:
    """Choose the weights of convolutions of one tap for each channel so that offsets fit."""
    return graph.with_ops(_fine(graph, op) for op in graph.ops)


def _fine(graph: Graph, op: q.Op) -> q.Op:
    if not isinstance(op, q.Conv) or op.groups != len(op.weight) or op.weight[0].numel() != 1:
        return op
    grid = graph.tensors[op.inputs[0]].quantization
    weight = op.weight.reshape(-1).numpy()
    integers = None if op.weight_scale is None else weight / op.weight_scale.numpy()
    if grid is None or integers is None or not (np.rint(integers) != 0).all():
        return op
    n = np.arange(1, 1 << (op.weight_bits - 1))
    steps = op.bias.numpy()[:, None] * n / (np.abs(weight[:, None]) * grid.scale)
    errors = np.abs(steps - np.rint(steps)) / n
    best = n[::-1][np.argmin(errors[:, ::-1], axis=1)]  # of equal ones the largest
    return replace(op, weight_scale=torch.from_numpy(np.abs(weight) / best))
