"""Pools and interpolation."""

from __future__ import annotations

import numpy as np

from tilewright.compiler.ir.ops import MaxPool2d
from tilewright.compiler.ir.shapes import window_shape
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.to_integer.builder import Builder
from tilewright.compiler.quantized.to_integer.values import (
    BilinearSource,
    Pending,
    PoolSource,
    Quantized,
)


def max_pool(builder: Builder, op: q.MaxPool, x: Quantized) -> Quantized:
    """Emit MaxPool2d."""
    name, t = builder.unique(op.name), x.type
    pool = MaxPool2d(name, x.value, name, op.kernel, op.stride, op.padding, op.dilation)
    size = window_shape(t.shape[1:], op.kernel, op.stride, op.padding, op.dilation)
    return builder.emit(pool, x.grid, (t.shape[0], *size))


def avg_pool(op: q.AvgPool, x: Quantized) -> Pending:
    """Return window sums, which the grid behind them divides."""
    t = x.type
    size = window_shape(t.shape[1:], op.kernel, op.stride, op.padding)
    scale = np.full(t.shape[0], t.scale / op.divisor)
    source = PoolSource(x, op.kernel, op.stride, op.padding, op.whole)
    return Pending(op.name, source, (t.shape[0], *size), scale, np.zeros(t.shape[0]), False)


def bilinear(op: q.Bilinear, x: Quantized) -> Pending:
    """Return interpolated sums."""
    c, h, w = x.type.shape
    vertical, horizontal = op.factor
    scale = np.full(c, x.type.scale / (4 * vertical * horizontal))
    shape = (c, h * vertical, w * horizontal)
    return Pending(op.name, BilinearSource(x, op.factor), shape, scale, np.zeros(c), False)
