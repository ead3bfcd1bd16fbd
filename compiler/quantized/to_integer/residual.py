"""Chooses the shared grid of a residual addition."""

from tilewright.compiler.ir.ops import Add
from tilewright.compiler.ir.types import Ratio
from tilewright.compiler.quantized.to_integer.folding import ratio_or_explain
from tilewright.compiler.quantized.to_integer.values import AddSource, Pending, Quantized
from tilewright.compiler.quantized.types import Quantization

_MAX_BITS = 16


def finish_add(name: str, x: Pending, source: AddSource, grid: Quantization) -> Add:
    """Build the addition that ``x`` waits for, with its output on ``grid``.

    The shared grid is what the network says, if it does. Otherwise it is the finest grid that holds
    both operands: exact for equal scales and for ratios that are powers of two within 16
    bits; else the finer operand is exact and the other is rounded at 16 bits, where an output can
    change by one LSB.
    """
    shared = source.shared or shared_grid(source.a, source.b)
    channels = x.shape[0]

    def requantize(ratio: float, to: Quantization) -> Ratio:
        factors = [ratio] * channels
        return ratio_or_explain(x.where, factors, to.zero_point, to.qmin, to.qmax)

    return Add(
        name,
        source.a.value,
        source.b.value,
        name,
        requantize(source.a.type.scale / shared.scale, shared),
        requantize(source.b.type.scale / shared.scale, shared),
        requantize(shared.scale / grid.scale, grid),
        shared.bits,
        shared.signed,
    )


def shared_grid(a: Quantized, b: Quantized) -> Quantization:
    """Return the finest grid that holds two operands in 16 bits."""
    if a.type.zero_point and _grid(a) == _grid(b):
        return _grid(a)
    finest = min(a.type.scale, b.type.scale)
    if not _power_of_two_ratio(a.type.scale, b.type.scale) or _bits(a, b, finest) > _MAX_BITS:
        # Refine (or, for far apart scales, coarsen) until the wider operand fills 16 bits.
        while _bits(a, b, finest / 2) <= _MAX_BITS:
            finest /= 2
        while _bits(a, b, finest) > _MAX_BITS:
            finest *= 2
    bits, signed = max(2, _bits(a, b, finest)), _signed(a, b)
    qmin = -(1 << (bits - 1)) if signed else 0
    qmax = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    return Quantization(finest, 0, bits, signed, qmin, qmax)


def _grid(x: Quantized) -> Quantization:
    """Whole grid of a tensor."""
    t = x.type
    return Quantization(t.scale, t.zero_point, t.bits, t.signed, t.qmin, t.qmax)


def _power_of_two_ratio(a: float, b: float) -> bool:
    ratio = max(a, b) / min(a, b)
    return ratio.is_integer() and int(ratio) & (int(ratio) - 1) == 0


def _signed(a: Quantized, b: Quantized) -> bool:
    return any(v.qmin < v.type.zero_point for v in (a, b))


def _bits(a: Quantized, b: Quantized, scale: float) -> int:
    """Bits that hold both operands on a grid of ``scale`` around zero."""
    ends = [
        round((q - v.type.zero_point) * v.type.scale / scale)
        for v in (a, b)
        for q in (v.qmin, v.qmax)
    ]
    low, high = min(ends), max(ends)
    magnitude = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0)
    return magnitude + _signed(a, b)
