"""What moves data without computing: concatenation, channels, repetition, pixel shuffles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tilewright.compiler.importers.brevitas.calls import Call
from tilewright.compiler.importers.brevitas.values import Pending, Quantized
from tilewright.compiler.quantized import ops as q
from tilewright.errors import UnsupportedError


def concat(call: Call, parts: Sequence[Quantized], dim: Any) -> Quantized:
    """Emit Concat; all parts must be on one grid."""
    where = call.where
    if dim not in (1, -3) or any(x.flat for x in parts):
        raise UnsupportedError(
            where, f"a concatenation over dim={dim}", "Concatenate (N, C, H, W) over dim=1."
        )
    if len({replace(x.grid, low=None, high=None) for x in parts}) > 1:
        scales = sorted({x.grid.scale for x in parts})
        raise UnsupportedError(
            where,
            f"a concatenation of different grids (scales {scales})",
            "Put all parts through one shared QuantIdentity.",
        )
    sizes = {x.shape[1:] for x in parts}
    if len(sizes) > 1:
        raise UnsupportedError(
            where, f"a concatenation of sizes {sorted(sizes)}", "Give all parts one size."
        )
    first, names = parts[0], tuple(x.name for x in parts)
    grid = first.grid.within(min(x.grid.qmin for x in parts), max(x.grid.qmax for x in parts))
    name = call.builder.emit(where, lambda output: q.Concat(where, names, output), grid)
    return Quantized(where, name, call.builder.graph.shape(name), False, grid)


def select(call: Call, x: Quantized, channels: Sequence[int]) -> Quantized:
    """Emit Select, or nothing if it selects all in order."""
    if x.flat:
        raise UnsupportedError(
            call.where, "a selection from (N, C * H * W)", "Select channels of (N, C, H, W)."
        )
    if list(channels) == list(range(x.shape[0])):
        return x
    order = np.array(channels)
    return _moved(call, x, lambda where, read, output: q.Select(where, read, output, order))


def split(call: Call, x: Quantized, sizes: Sequence[int]) -> list[Quantized]:
    """Emit a Select for each run of ``sizes`` channels."""
    ends = np.cumsum(sizes)
    return [
        select(replace(call, where=f"{call.where}.{i}"), x, range(int(end - size), int(end)))
        for i, (size, end) in enumerate(zip(sizes, ends, strict=True))
    ]


def channel_shuffle(call: Call, groups: int) -> Quantized:
    """Emit Select: channel j of group i becomes channel i of group j."""
    x = call.quantized(0)
    order = np.arange(x.shape[0]).reshape(groups, -1).T.reshape(-1)
    return select(call, x, order.tolist())


def upsample(call: Call, mode: Any, align_corners: Any) -> Quantized | Pending:
    """Emit Upsample to the call's shape, or Bilinear, which waits for its quantizer."""
    x = call.quantized(0)
    (_, h, w), (_, rows, columns) = x.shape, call.shape
    if mode not in ("nearest", "nearest-exact", "bilinear") or align_corners:
        raise UnsupportedError(
            call.where,
            f"interpolation with mode={mode!r} and align_corners={align_corners}",
            "Use mode='nearest', or mode='bilinear' with align_corners=False.",
        )
    if rows % h or columns % w:
        raise UnsupportedError(
            call.where, f"interpolation of {(h, w)} to {(rows, columns)}", "Use an integer factor."
        )
    factor = (rows // h, columns // w)
    if mode == "bilinear":
        where = call.where
        name = call.builder.emit(where, lambda output: q.Bilinear(where, (x.name,), output, factor))
        return Pending(where, name, call.shape, False)
    return _moved(call, x, lambda where, read, output: q.Upsample(where, read, output, factor))


def pixel_shuffle(call: Call, factor: int) -> Quantized:
    """Emit PixelShuffle."""
    x = call.quantized(0)
    return _moved(call, x, lambda where, read, output: q.PixelShuffle(where, read, output, factor))


def pixel_unshuffle(call: Call, factor: int) -> Quantized:
    """Emit PixelUnshuffle."""
    x = call.quantized(0)
    return _moved(
        call, x, lambda where, read, output: q.PixelUnshuffle(where, read, output, factor)
    )


def _moved(
    call: Call, x: Quantized, make: Callable[[str, tuple[str, ...], str], q.Op]
) -> Quantized:
    where = call.where
    name = call.builder.emit(where, lambda output: make(where, (x.name,), output), x.grid)
    return Quantized(where, name, call.builder.graph.shape(name), False, x.grid)
