"""What moves elements, and constants."""

from __future__ import annotations

import numpy as np

from tilewright.compiler import ir
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.to_integer.builder import Builder
from tilewright.compiler.quantized.to_integer.values import Quantized
from tilewright.compiler.quantized.types import Quantization


def concat(builder: Builder, op: q.Concat, parts: list[Quantized]) -> Quantized:
    """Emit Concat."""
    name, first = builder.unique(op.name), parts[0]
    grid = first.grid.within(min(x.qmin for x in parts), max(x.qmax for x in parts))
    shape = (sum(x.type.shape[0] for x in parts), *first.type.shape[1:])
    return builder.emit(ir.Concat(name, tuple(x.value for x in parts), name), grid, shape)


def moved(
    builder: Builder,
    op: q.Select | q.Upsample | q.PixelShuffle | q.PixelUnshuffle,
    x: Quantized,
) -> Quantized:
    """Emit an operator that moves elements of one tensor."""
    name = builder.unique(op.name)
    integer: ir.Op
    match op:
        case q.Select():
            integer = ir.SelectChannels(name, x.value, name, op.channels)
        case q.Upsample():
            integer = ir.Upsample(name, x.value, name, op.factor)
        case q.PixelShuffle():
            integer = ir.PixelShuffle(name, x.value, name, op.factor)
        case q.PixelUnshuffle():
            integer = ir.PixelUnshuffle(name, x.value, name, op.factor)
    return builder.emit(integer, x.grid, op.shape([x.type.shape]))


def constant(builder: Builder, op: q.Constant, grid: Quantization) -> Quantized:
    """Emit a feature map that the program holds."""
    name = builder.unique(op.name)
    steps = np.rint(op.value.numpy() / grid.scale + grid.zero_point)
    integers = steps.clip(grid.qmin, grid.qmax).astype(np.int64)
    shape = (integers.shape[0], integers.shape[1], integers.shape[2])
    return builder.emit(ir.Constant(name, name, integers), grid, shape)
