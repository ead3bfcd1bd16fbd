"""Channels and constants."""

from __future__ import annotations

import numpy as np

from tilewright.compiler.frontend.builder import Builder
from tilewright.compiler.frontend.quantizers import Grid
from tilewright.compiler.frontend.values import Quantized
from tilewright.compiler.ir.ops import Concat, Constant, SelectChannels
from tilewright.compiler.quantized import ops as q


def concat(builder: Builder, op: q.Concat, parts: list[Quantized]) -> Quantized:
    """Emit Concat."""
    name, t = builder.unique(op.name), parts[0].type
    low, high = min(x.qmin for x in parts), max(x.qmax for x in parts)
    grid = Grid(t.scale, t.zero_point, t.bits, t.signed, low, high)
    shape = (sum(x.type.shape[0] for x in parts), *t.shape[1:])
    return builder.emit(Concat(name, tuple(x.value for x in parts), name), grid, shape, False)


def select(builder: Builder, op: q.Select, x: Quantized) -> Quantized:
    """Emit SelectChannels."""
    name, t = builder.unique(op.name), x.type
    grid = Grid(t.scale, t.zero_point, t.bits, t.signed, x.qmin, x.qmax)
    shape = (len(op.channels), *t.shape[1:])
    return builder.emit(SelectChannels(name, x.value, name, op.channels), grid, shape, False)


def constant(builder: Builder, op: q.Constant, grid: Grid) -> Quantized:
    """Emit a feature map that the program holds."""
    name = builder.unique(op.name)
    steps = np.rint(op.value.numpy() / grid.scale + grid.zero_point)
    integers = steps.clip(grid.qmin, grid.qmax).astype(np.int64)
    shape = (integers.shape[0], integers.shape[1], integers.shape[2])
    return builder.emit(Constant(name, name, integers), grid, shape, False)
