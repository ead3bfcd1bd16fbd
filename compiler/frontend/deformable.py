"""Offsets and masks of deformable convolutions, as the integer graph takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilewright.compiler.frontend import windows
from tilewright.compiler.frontend.builder import Builder
from tilewright.compiler.frontend.calls import Call
from tilewright.compiler.frontend.quantizers import Grid, quantized_weight
from tilewright.compiler.frontend.values import DeformSource, Quantized
from tilewright.compiler.ir.arithmetic import requantize
from tilewright.compiler.ir.deformable import fraction_bits
from tilewright.compiler.ir.op import Accumulating
from tilewright.compiler.ir.ops import Conv2d
from tilewright.compiler.ir.types import Requantize
from tilewright.errors import UnsupportedError
from tilewright.nn.deformable import square_factors

_OFFSET_FIX = "Use tilewright.nn.QuantOffset, of at most 8 bits."
_MASK_FIX = "Use tilewright.nn.QuantMask, of at most 8 bits."


def deform_source(module: Any, call: Call, x: Quantized) -> DeformSource:
    """Read a QuantDeformConv2d whose input is ``x``."""
    offset = _offsets(module, call)
    mask = call.quantized(2) if len(call.args) > 2 and call.args[2] is not None else None
    if mask is not None:
        t = mask.type
        if t.signed or t.bits > 8 or t.zero_point or fraction_bits(t, 1) is None:
            sign = "signed" if t.signed else "unsigned"
            what = f"a mask of {t.bits} {sign} bits, zero point {t.zero_point}, scale {t.scale}"
            raise UnsupportedError(call.where, what, _MASK_FIX)
    return DeformSource(
        x,
        offset,
        mask,
        quantized_weight(call.where, module),
        windows.pair(module.stride),
        windows.symmetric_padding(module.padding),
        windows.pair(module.dilation),
        int(module.groups),
        int(module.offset_groups),
    )


def _offsets(module: Any, call: Call) -> Quantized:
    offset = call.quantized(1)
    t = offset.type
    problem = None
    if t.bits > 8 or not t.signed:
        problem = f"offsets of {t.bits} {'signed' if t.signed else 'unsigned'} bits"
    elif t.zero_point:
        problem = f"offsets with the zero point {t.zero_point}"
    elif fraction_bits(t) is None:
        problem = f"offsets in steps of {t.scale} pixels, which is no power of two in 1/256..1"
    if problem:
        raise UnsupportedError(call.where, problem, _OFFSET_FIX)
    _check_saturation(call.where, call.builder, offset)
    return _square(module, call, offset) if module.square else offset


def _check_saturation(where: str, builder: Builder, offset: Quantized) -> None:
    """Refuse offsets that depend on nothing, since their quantizer clips all they can be."""
    step = offset.type.scale
    if offset.qmin == offset.qmax:
        raise UnsupportedError(
            where,
            f"a bound that leaves only offsets of {offset.qmin * step} pixels",
            f"Bound them by at least {step} pixels, or use brevitas.nn.QuantConv2d.",
        )
    op = next(op for op in (*builder.inputs.values(), *builder.ops) if offset.value in op.outputs)
    if not isinstance(op, Accumulating):
        return
    scale: Requantize = op.requantize
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


def _square(module: Any, call: Call, distance: Quantized) -> Quantized:
    """Expand one distance per offset group by an exact convolution of one tap."""
    factors = square_factors(module.kernel_size).numpy()
    groups = int(module.offset_groups)
    weight = np.tile(factors, groups).reshape(-1, 1, 1, 1)
    channels, most = len(weight), int(np.abs(factors).max())
    top = most * max(-distance.qmin, distance.qmax)
    kind = distance.type
    if (kind.qmin < distance.qmin < -128 / most) or (127 / most < distance.qmax < kind.qmax):
        raise UnsupportedError(
            call.where,
            f"a bound of {top / most * kind.scale:g} pixels, of which its kernel takes {most}: "
            f"offsets reach {127 * kind.scale:g} pixels",
            f"Bound them by at most {127 // most * kind.scale:g} pixels, or use fewer fraction "
            "bits.",
        )
    grid = Grid(distance.type.scale, 0, 8, True, max(-128, -top), min(127, top))
    shape = (channels, *distance.type.shape[1:])
    name = call.builder.unique(f"{call.where}.offset")
    op = Conv2d(
        name, distance.value, name, weight, max(2, most.bit_length() + 1),
        np.zeros(channels, np.int64), (1, 1), (0, 0, 0, 0), (1, 1), groups,
        Requantize((1,) * channels, (0,) * channels, 0, grid.qmin, grid.qmax),
    )  # fmt: skip
    return call.builder.emit(op, grid, shape, False)
