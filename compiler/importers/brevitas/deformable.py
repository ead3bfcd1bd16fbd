"""Deformable convolutions, and the grids that their offsets and masks must have."""

from __future__ import annotations

from typing import Any

from tilewright.compiler.importers.brevitas import windows
from tilewright.compiler.importers.brevitas.calls import Call
from tilewright.compiler.importers.brevitas.quantizers import Weight
from tilewright.compiler.importers.brevitas.values import Quantized
from tilewright.compiler.quantized import ops as q
from tilewright.errors import UnsupportedError

_OFFSET_FIX = "Use tilewright.nn.QuantOffset, of at most 8 bits."
_MASK_FIX = "Use tilewright.nn.QuantMask, of at most 8 bits."


def sources(call: Call, x: Quantized) -> tuple[str, ...]:
    """Return what a QuantDeformConv2d reads: ``x``, offsets and, if it has one, a mask."""
    offset = call.quantized(1)
    _check_offsets(call.where, offset)
    if len(call.args) < 3 or call.args[2] is None:
        return x.name, offset.name
    mask = call.quantized(2)
    t = mask.grid
    if t.signed or t.bits > 8 or t.zero_point or t.fraction_bits(1) is None:
        sign = "signed" if t.signed else "unsigned"
        what = f"a mask of {t.bits} {sign} bits, zero point {t.zero_point}, scale {t.scale}"
        raise UnsupportedError(call.where, what, _MASK_FIX)
    return x.name, offset.name, mask.name


def convolution(
    module: Any, where: str, reads: tuple[str, ...], output: str, weight: Weight, bias: Any
) -> q.DeformConv:
    """Return the operator of a QuantDeformConv2d."""
    return q.DeformConv(
        where, reads, output, weight.reals, bias, weight.scale, weight.bits,
        windows.pair(module.stride), windows.pair(module.padding), windows.pair(module.dilation),
        int(module.groups), int(module.offset_groups), bool(module.square),
    )  # fmt: skip


def _check_offsets(where: str, offset: Quantized) -> None:
    t = offset.grid
    problem = None
    if t.bits > 8 or not t.signed:
        problem = f"offsets of {t.bits} {'signed' if t.signed else 'unsigned'} bits"
    elif t.zero_point:
        problem = f"offsets with the zero point {t.zero_point}"
    elif t.fraction_bits() is None:
        problem = f"offsets in steps of {t.scale} pixels, which is no power of two in 1/256..1"
    if problem:
        raise UnsupportedError(where, problem, _OFFSET_FIX)
