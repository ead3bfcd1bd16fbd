"""What moves data without computing: concatenation, channels, repetition, pixel shuffles."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tilewright.compiler.frontend.builder import Builder
from tilewright.compiler.frontend.quantizers import Grid
from tilewright.compiler.frontend.values import BilinearSource, Pending, Quantized, Shape
from tilewright.compiler.ir.ops import (
    Concat,
    Op,
    PixelShuffle,
    PixelUnshuffle,
    SelectChannels,
    Upsample,
)
from tilewright.errors import UnsupportedError


def concat(builder: Builder, where: str, parts: Sequence[Quantized], dim: Any) -> Quantized:
    """Emit Concat; all parts must be on one grid."""
    if dim not in (1, -3) or any(x.flat for x in parts):
        raise UnsupportedError(
            where, f"a concatenation over dim={dim}", "Concatenate (N, C, H, W) over dim=1."
        )
    first = parts[0]
    grids = {(x.type.bits, x.type.signed, x.type.scale, x.type.zero_point) for x in parts}
    if len(grids) > 1:
        scales = sorted({x.type.scale for x in parts})
        raise UnsupportedError(
            where,
            f"a concatenation of different grids (scales {scales})",
            "Put all parts through one shared QuantIdentity.",
        )
    sizes = {x.type.shape[1:] for x in parts}
    if len(sizes) > 1:
        raise UnsupportedError(
            where, f"a concatenation of sizes {sorted(sizes)}", "Give all parts one size."
        )
    name = builder.unique(where)
    op = Concat(name, tuple(x.value for x in parts), name)
    shape = (sum(x.type.shape[0] for x in parts), *first.type.shape[1:])
    low, high = min(x.qmin for x in parts), max(x.qmax for x in parts)
    return _emit(builder, op, first, shape, low, high)


def select(builder: Builder, where: str, x: Quantized, channels: Sequence[int]) -> Quantized:
    """Emit SelectChannels, or nothing if it selects all in order."""
    if x.flat:
        raise UnsupportedError(
            where, "a selection from (N, C * H * W)", "Select channels of (N, C, H, W)."
        )
    if list(channels) == list(range(x.type.shape[0])):
        return x
    name = builder.unique(where)
    op = SelectChannels(name, x.value, name, np.array(channels))
    return _emit(builder, op, x, (len(channels), *x.type.shape[1:]), x.qmin, x.qmax)


def split(builder: Builder, where: str, x: Quantized, sizes: Sequence[int]) -> list[Quantized]:
    """Emit a SelectChannels for each run of ``sizes`` channels."""
    ends = np.cumsum(sizes)
    return [
        select(builder, f"{where}.{i}", x, range(int(end - size), int(end)))
        for i, (size, end) in enumerate(zip(sizes, ends, strict=True))
    ]


def channel_shuffle(builder: Builder, where: str, x: Quantized, groups: int) -> Quantized:
    """Emit SelectChannels: channel j of group i becomes channel i of group j."""
    order = np.arange(x.type.shape[0]).reshape(groups, -1).T.reshape(-1)
    return select(builder, where, x, order.tolist())


def upsample(
    builder: Builder, where: str, x: Quantized, shape: Shape, mode: Any, align_corners: Any
) -> Quantized | Pending:
    """Emit Upsample to ``shape``, or let UpsampleBilinear wait for its quantizer."""
    (_, h, w), (_, rows, columns) = x.type.shape, shape
    if mode not in ("nearest", "nearest-exact", "bilinear") or align_corners:
        raise UnsupportedError(
            where,
            f"interpolation with mode={mode!r} and align_corners={align_corners}",
            "Use mode='nearest', or mode='bilinear' with align_corners=False.",
        )
    if rows % h or columns % w:
        raise UnsupportedError(
            where, f"interpolation of {(h, w)} to {(rows, columns)}", "Use an integer factor."
        )
    factor = (rows // h, columns // w)
    if mode == "bilinear":
        channels = shape[0]
        scale = np.full(channels, x.type.scale / (4 * factor[0] * factor[1]))
        source = BilinearSource(x, factor)
        return Pending(where, source, shape, scale, np.zeros(channels), False, False)
    name = builder.unique(where)
    op = Upsample(name, x.value, name, factor)
    return _emit(builder, op, x, shape, x.qmin, x.qmax)


def pixel_shuffle(
    builder: Builder, where: str, x: Quantized, shape: Shape, factor: int
) -> Quantized:
    """Emit PixelShuffle."""
    name = builder.unique(where)
    return _emit(builder, PixelShuffle(name, x.value, name, factor), x, shape, x.qmin, x.qmax)


def pixel_unshuffle(
    builder: Builder, where: str, x: Quantized, shape: Shape, factor: int
) -> Quantized:
    """Emit PixelUnshuffle."""
    name = builder.unique(where)
    return _emit(builder, PixelUnshuffle(name, x.value, name, factor), x, shape, x.qmin, x.qmax)


def _emit(builder: Builder, op: Op, x: Quantized, shape: Shape, qmin: int, qmax: int) -> Quantized:
    t = x.type
    grid = Grid(t.scale, t.zero_point, t.bits, t.signed, qmin, qmax)
    return builder.emit(op, grid, shape, False)
