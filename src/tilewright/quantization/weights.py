"""Weights and biases as integers."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from tilewright.compiler.quantized import Graph, Quantization
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.types import nearest
from tilewright.errors import UnsupportedError
from tilewright.quantization.ranges import weight_scales

_FINEST, _FINEST_WIDE = 14, 18
"""Bits of an accumulator below an output step of 8 bits, at most: finer ones would make biases
overflow. Products of 9 bits and more are finer by themselves."""
_LARGEST_BIAS = 1 << 28

_Layer = TypeVar("_Layer", q.Weighted, q.Recurrence)


def quantize_weights(graph: Graph, *, bits: int, power_of_two: bool) -> Graph:
    """Put the weights of every layer on a grid per output channel, as wide as its sums need.

    A channel whose weights are zero or nearly so has a scale too: from its output's, so that its
    bias stays what it is.
    """
    ops = []
    for op in graph.ops:
        if isinstance(op, q.Weighted) and not getattr(op, "moves", False):
            op = _quantized(graph, op, bits, power_of_two)
        elif isinstance(op, q.Weighted):
            op = replace(op, weight_scale=torch.ones(len(op.weight), dtype=torch.float64))
        elif isinstance(op, q.Recurrence):
            op = _quantized(graph, op, bits, power_of_two)
        ops.append(op)
    return graph.with_ops(ops)


def _quantized(graph: Graph, op: _Layer, bits: int, power_of_two: bool) -> _Layer:
    if not (bool(op.weight.isfinite().all()) and bool(op.bias.isfinite().all())):
        raise UnsupportedError(
            op.name, "weights or a bias that are not finite", "Check its parameters for NaN."
        )
    least = _finest(graph, op) * output_scale(graph, op) / input_scale(graph, op)
    if power_of_two:
        least = 2.0 ** torch.tensor(least).log2().round().item()
    scale = weight_scales(op.weight, bits, power_of_two=power_of_two).clamp(min=least)
    column = scale.reshape(-1, *(1,) * (op.weight.ndim - 1))
    levels = (1 << (bits - 1)) - 1
    weight = (op.weight / column).round().clamp(-levels, levels) * column
    return replace(op, weight=weight, weight_scale=scale, weight_bits=bits)


def _finest(graph: Graph, op: q.Op) -> float:
    """Return the steps of an output that an accumulator's are, at least."""
    read = _input_grid(graph, op).bits
    more = max(0, _output_grid(graph, op).bits - 8)
    return 2.0 ** (more - (_FINEST_WIDE if read > 8 else _FINEST))


def _input_grid(graph: Graph, op: q.Op) -> Quantization:
    read = op.output if isinstance(op, q.Recurrence) else op.inputs[0]
    grid = graph.tensors[read].quantization
    assert grid is not None
    return grid


def _output_grid(graph: Graph, op: q.Op) -> Quantization:
    name = op.output
    while (grid := graph.tensors[name].quantization) is None:
        (reader,) = graph.readers()[name]
        name = reader.output
    return grid


def input_scale(graph: Graph, op: q.Op) -> float:
    """Scale of what a layer multiplies by its weights."""
    return _input_grid(graph, op).scale


def output_scale(graph: Graph, op: q.Op) -> float:
    """Scale of a layer's result, or of the clip that fuses with it."""
    return _output_grid(graph, op).scale


def with_bias(graph: Graph, op: q.Weighted, bias: Tensor) -> q.Weighted:
    """``op`` with a bias on its accumulator's grid.

    Raises
    ------
    UnsupportedError  If the accumulator cannot hold it.
    """
    assert op.weight_scale is not None
    step = input_scale(graph, op) * op.weight_scale
    integers = nearest(bias / step)
    if bool((integers.abs() > _LARGEST_BIAS).any()):
        channel = int(integers.abs().argmax())
        raise UnsupportedError(
            op.name,
            f"the bias of channel {channel}, {float(bias[channel]):.4g}, is "
            f"{float(integers[channel]):.3g} accumulator steps",
            "Calibrate on inputs that use the layer's range, or bound its bias.",
        )
    return replace(op, bias=integers * step)
