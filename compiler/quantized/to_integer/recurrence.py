"""Slices of a map that depend on the slice before."""

from __future__ import annotations

import math

import numpy as np

from tilewright.compiler import ir
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.to_integer.builder import Builder, RoundedBias
from tilewright.compiler.quantized.to_integer.folding import fold, ratio_or_explain
from tilewright.compiler.quantized.to_integer.values import Quantized, Weight
from tilewright.compiler.quantized.types import Quantization
from tilewright.errors import UnsupportedError


def recurrence(
    builder: Builder, op: q.Recurrence, x: Quantized, grid: Quantization | None
) -> Quantized:
    """Emit Recurrence, whose slices and messages are on the output's grid."""
    if op.weight_scale is None or grid is None:
        raise UnsupportedError(op.name, "a recurrence on no grid", "Quantize it.")
    scales, kind = op.weight_scale.numpy(), x.type
    integers = np.rint(op.weight.numpy() / scales[:, None, None]).astype(np.int64)
    folded = fold(
        op.name, Weight(integers, scales, op.weight_bits), scales * grid.scale, op.bias.numpy(),
        builder.round_bias, grid.type(kind.shape), grid.clipped(0, math.inf),
    )  # fmt: skip
    if folded.bias_error > 0:
        builder.rounded.append(RoundedBias(op.name, folded.bias_error))
    name = builder.unique(op.name)
    factors = [kind.scale / grid.scale] * kind.shape[0]
    ends = ratio_or_explain(op.name, factors, grid.zero_point, grid.qmin, grid.qmax)
    return builder.emit(
        ir.Recurrence(
            name, x.value, name, folded.weight[:, :, None], op.weight_bits, folded.bias,
            op.columns, op.backwards, ends, folded.requantize,
        ),
        grid,
        kind.shape,
    )  # fmt: skip
