"""Layers with weights, and the batch norms behind them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tilewright.compiler.ir.shapes import transposed_shape, window_shape
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.to_integer.values import (
    Abstract,
    ConvSource,
    ConvTransposeSource,
    DeformSource,
    LinearSource,
    Pending,
    Quantized,
    Weight,
    WeightedSource,
)
from tilewright.errors import UnsupportedError


def weighted(op: q.Weighted, inputs: list[Quantized]) -> Pending:
    """Return the accumulator of a layer, which waits for its grid."""
    if op.weight_scale is None:
        raise UnsupportedError(op.name, "weights on no grid", "Quantize them.")
    x = inputs[0]
    scales = op.weight_scale.numpy()
    column = scales.reshape(-1, *(1,) * (op.weight.ndim - 1))
    integers = np.rint(op.weight.numpy() / column).astype(np.int64)
    weight = Weight(integers, scales, op.weight_bits)
    size = x.type.shape[1:]
    source: WeightedSource
    match op:
        case q.Conv():
            source = ConvSource(x, weight, op.stride, op.padding, op.dilation, op.groups, op.once)
            kernel = (integers.shape[2], integers.shape[3])
            pixels = window_shape(size, kernel, op.stride, op.padding, op.dilation)
        case q.ConvTranspose():
            source = ConvTransposeSource(
                x, weight, op.stride, op.padding, op.output_padding, op.groups
            )
            kernel = (integers.shape[2], integers.shape[3])
            pixels = transposed_shape(size, kernel, op.stride, op.padding, op.output_padding)
        case q.DeformConv():
            top, left = op.padding
            mask = inputs[2] if len(inputs) > 2 else None
            source = DeformSource(
                x, inputs[1], mask, weight, op.stride, (top, top, left, left), op.dilation,
                op.groups, op.offset_groups,
            )  # fmt: skip
            _, *rest = inputs[1].type.shape
            pixels = (rest[0], rest[1])
        case _:
            assert integers.shape[1] == math.prod(x.type.shape)
            source, pixels = LinearSource(x, weight), (1, 1)
    scale = scales * x.type.scale
    return Pending(op.name, source, (len(integers), *pixels), scale, op.bias.numpy(), False)


def affine(op: q.Affine, x: Abstract) -> Pending:
    """Return an accumulator that a batch norm scales and shifts; its bias may be rounded."""
    weighs = isinstance(x, Pending) and isinstance(x.source, WeightedSource)
    if not isinstance(x, Pending) or not weighs or (x.lower, x.upper) != (-math.inf, math.inf):
        raise UnsupportedError(
            op.name,
            "batch norm that does not directly follow a convolution or a linear layer",
            "Move it behind a convolution, or replace it by a depthwise one of one tap.",
        )
    scale, offset = op.scale.numpy(), op.offset.numpy()
    return replace(x, scale=x.scale * scale, offset=x.offset * scale + offset, rounds=True)
