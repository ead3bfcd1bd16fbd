"""Offsets of deformable convolutions, as the integer graph takes them."""

from __future__ import annotations

import numpy as np

from tilewright.compiler.ir.arithmetic import requantize
from tilewright.compiler.ir.op import Accumulating
from tilewright.compiler.ir.ops import Conv2d
from tilewright.compiler.ir.types import MAX_MULTIPLIER_WIDTH, Ratio, Requantize
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.to_integer.builder import Builder
from tilewright.compiler.quantized.to_integer.values import Quantized
from tilewright.compiler.quantized.types import Quantization
from tilewright.errors import UnsupportedError
from tilewright.nn.deformable import square_factors


def offsets(builder: Builder, op: q.DeformConv, offset: Quantized) -> Quantized:
    """Return the offsets of every tap, from what the layer reads.

    Raises
    ------
    UnsupportedError  If their grid leaves nothing of what they depend on.
    """
    _check_saturation(op.name, builder, offset)
    return _expanded(builder, op, offset) if op.square else offset


def _check_saturation(where: str, builder: Builder, offset: Quantized) -> None:
    """Refuse offsets that depend on nothing, since their grid clips all they can be."""
    step = offset.type.scale
    if offset.qmin == offset.qmax:
        raise UnsupportedError(
            where,
            f"a bound that leaves only offsets of {offset.qmin * step} pixels",
            f"Bound them by at least {step} pixels, or use a convolution without offsets.",
        )
    op = next(op for op in (*builder.inputs.values(), *builder.ops) if offset.value in op.outputs)
    if not isinstance(op, Accumulating):
        return
    scale: Requantize = op.requantize
    if isinstance(scale, Ratio):
        scale = scale.chosen(MAX_MULTIPLIER_WIDTH)
    low, high = (requantize(acc, scale) for acc in op.accumulator(builder.values))
    saturated = (low == high) & ((low == scale.qmin) | (low == scale.qmax))
    if saturated.any():
        channel = int(np.flatnonzero(saturated)[0])
        raise UnsupportedError(
            where,
            f"channel {channel} of its offsets, from {op.name}, is always "
            f"{int(low[channel]) * step} pixels, the end of its quantizer's range",
            "Train with bounded offsets, or give the quantizer fewer fraction bits or a wider "
            "bound.",
        )


def _expanded(builder: Builder, op: q.DeformConv, distance: Quantized) -> Quantized:
    """Expand one distance per offset group by an exact convolution of one tap."""
    kernel = (int(op.weight.shape[2]), int(op.weight.shape[3]))
    factors = square_factors(kernel).numpy()
    weight = np.tile(factors, op.offset_groups).reshape(-1, 1, 1, 1)
    channels, most = len(weight), int(np.abs(factors).max())
    top = most * max(-distance.qmin, distance.qmax)
    kind = distance.type
    if (kind.qmin < distance.qmin < -128 / most) or (127 / most < distance.qmax < kind.qmax):
        raise UnsupportedError(
            op.name,
            f"a bound of {top / most * kind.scale:g} pixels, of which its kernel takes {most}: "
            f"offsets reach {127 * kind.scale:g} pixels",
            f"Bound them by at most {127 // most * kind.scale:g} pixels, or use fewer fraction "
            "bits.",
        )
    grid = Quantization(kind.scale, 0, 8, True, max(-128, -top), min(127, top))
    name = builder.unique(f"{op.name}.offset")
    conv = Conv2d(
        name, distance.value, name, weight, max(2, most.bit_length() + 1),
        np.zeros(channels, np.int64), (1, 1), (0, 0, 0, 0), (1, 1), op.offset_groups,
        Requantize((1,) * channels, (0,) * channels, 0, grid.qmin, grid.qmax),
    )  # fmt: skip
    return builder.emit(conv, grid, (channels, *kind.shape[1:]))
