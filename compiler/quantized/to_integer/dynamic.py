"""Sums whose weights are another tensor."""

from __future__ import annotations

import numpy as np

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.to_integer.values import (
    DynamicConvSource,
    MatMulSource,
    Pending,
    Quantized,
)


def dynamic(op: q.MatMul | q.DynamicConv, x: Quantized, weight: Quantized) -> Pending:
    """Return a sum that waits for its grid."""
    shape = op.shape([x.type.shape, weight.type.shape])
    source: MatMulSource | DynamicConvSource
    if isinstance(op, q.MatMul):
        source = MatMulSource(x, weight, op.transposed, op.groups)
    else:
        source = DynamicConvSource(
            x, weight, op.kernel, op.stride, op.padding, op.dilation, op.groups
        )
    scale = np.full(shape[0], op.factor * x.type.scale * weight.type.scale)
    return Pending(op.name, source, shape, scale, np.zeros(shape[0]), False)
