"""Convolutions with other groups: what they cost, not what they compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tilewright.compiler.ir import Conv2d, Graph
from tilewright.errors import Error

__all__ = ["grouped", "regrouped"]


def grouped(graph: Graph, op: Conv2d, groups: int) -> Conv2d:
    """Return a convolution of a graph with so many groups, and weights none of which is zero."""
    channels = graph.values[op.input].shape[0] // groups
    weight = np.ones((len(op.weight), channels, *op.kernel), np.int64)
    return replace(op, weight=weight, groups=groups)


def regrouped(graph: Graph, channels: int) -> Graph:
    """Return a network whose group convolutions have groups of so many input channels.

    Depthwise ones are among them. Those whose channels do not divide so stay as they are.

    Raises
    ------
    Error
        If no convolution has such groups.
    """
    ops, found = [], False
    for op in graph.ops:
        if type(op) is Conv2d and op.groups > 1:
            inputs = graph.values[op.input].shape[0]
            if inputs % channels == 0 and len(op.weight) % (inputs // channels) == 0:
                op, found = grouped(graph, op, inputs // channels), True
        ops.append(op)
    if not found:
        raise Error(f"no convolution with groups can have groups of {channels} channels")
    return replace(graph, ops=tuple(ops))
