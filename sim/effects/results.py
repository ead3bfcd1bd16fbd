"""What becomes of sums: requantized, looked up, written to the buffers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import Requantize
from tilewright.compiler.ir.arithmetic import requantize
from tilewright.isa import Compute, EngineConfig
from tilewright.isa.passes import word_pixels
from tilewright.isa.wide import bounds, split_rows, writes_wide
from tilewright.isa.widths import folded, lane_depth
from tilewright.sim.effects.buffers import Buffers

#: Bounds beyond those that a command can have.
_ANY = 1 << 18


@dataclass(frozen=True, eq=False)
class Parameters:
    """What the rows of a command are requantized by.

    Parameters
    ----------
    bias : (rows,)
    scale : Requantize
    once : (rows,), of an engine that rounds twice: this row once; None: no such engine
    """

    bias: NDArray[np.int64]
    scale: Requantize
    once: NDArray[np.bool_] | None


def parameters(config: EngineConfig, c: Compute, words: NDArray[np.int16]) -> Parameters:
    """Return how the rows of kernel groups are requantized.

    ``words`` : (kernel groups, param_words, rows); the rows of all kernel groups are returned.
    """
    width, mask = config.weight_bits, (1 << config.weight_bits) - 1
    flat = (words & mask).transpose(0, 2, 1).reshape(-1, config.param_words).tolist()
    values = [sum(part << width * i for i, part in enumerate(parts)) for parts in flat]
    half = 1 << (config.acc_width - 1)
    bias = [((v & (2 * half - 1)) ^ half) - half for v in values]
    multiplier = [v >> config.acc_width & ((1 << config.multiplier_width) - 1) for v in values]
    shift = [v >> (config.acc_width + config.multiplier_width) & 63 for v in values]
    zero_point, qmin, qmax = bounds(config, c)
    lowest = min(qmin, qmax)
    scale = Requantize(tuple(multiplier), tuple(shift), zero_point, lowest, qmax, config.rounding)
    above = config.acc_width + config.multiplier_width + 6
    once = np.array([v >> above & 1 for v in values], bool)
    return Parameters(
        np.array(bias, np.int64), scale, once if config.rounding == "double" else None
    )


def write(
    config: EngineConfig,
    c: Compute,
    kgs: range,
    total: NDArray[np.int64],
    own: Parameters,
    buffers: Buffers,
) -> None:
    """Requantize and write the results of kernel groups.

    ``total`` : (n_oy, n_ox * cols, kernel groups * rows)
    """
    if not (c.to_act or c.to_out):
        return
    kept = np.flatnonzero(_kept(config, c))
    out = _finish(config, c, total[:, kept].transpose(2, 0, 1), own, buffers).transpose(1, 2, 0)
    oy: NDArray[np.int64] = np.arange(len(out))[:, None]
    x = kept * c.dst_step
    out_place = c.out_base + oy * c.out_row_step + x
    act_place = (c.dst_base + oy * c.dst_row_step) * config.cols + c.dst_lane + x
    for number, kg in enumerate(kgs):
        one = out[..., number * config.rows : (number + 1) * config.rows]
        further = kg * c.dst_kg_step * config.cols
        _place(config, c, one, out_place + kg * c.out_kg_step, act_place + further, buffers)


def write_tiles(
    config: EngineConfig,
    c: Compute,
    passes: NDArray[np.int64],
    total: NDArray[np.int64],
    own: Parameters,
    buffers: Buffers,
) -> None:
    """Requantize and write the results of the tiles of passes.

    ``total`` : (passes, tile_h, tile_w, cols, rows)
    """
    if not (c.to_act or c.to_out):
        return
    out = np.moveaxis(_finish(config, c, np.moveaxis(total, -1, 0), own, buffers), 0, -1)
    oy, ox = np.divmod(passes[:, None, None, None], c.n_ox)
    row, column = np.arange(c.tile_h)[:, None, None], np.arange(c.tile_w)[:, None]
    kept = _kept(config, c).reshape(c.n_ox, config.cols)[ox[:, 0, 0, 0]][:, None, None]
    kept = kept & ((oy < c.n_oy - 1) | (row < c.last_h)) & (column >= 0)
    x = (ox * config.cols + np.arange(config.cols)) * c.dst_step + column
    y = oy * c.tile_h + row
    out_place = np.broadcast_to(c.out_base + y * c.out_row_step + x, kept.shape)
    act_place = (c.dst_base + y * c.dst_row_step) * config.cols + c.dst_lane + x
    act_place = np.broadcast_to(act_place, kept.shape)
    _place(config, c, out[kept], out_place[kept], act_place[kept], buffers)


def _kept(config: EngineConfig, c: Compute) -> NDArray[np.bool_]:
    """Return which of the n_ox * cols pixels of a row are results."""
    pixels = np.array([word_pixels(config, c, word) for word in range(c.n_ox)])
    return (np.arange(config.cols) < pixels[:, None]).reshape(-1)


def _finish(
    config: EngineConfig,
    c: Compute,
    total: NDArray[np.int64],
    own: Parameters,
    buffers: Buffers,
) -> NDArray[np.uint8]:
    """Requantize the (rows, n_oy, ...) totals, and look them up in a table.

    Of results of 16 bits, each row is one of high bytes and one of low bytes.
    """
    _, qmin, qmax = bounds(config, c)
    if qmin <= qmax:
        out = requantize(total, own.scale, own.once)
    else:  # what is below qmin is qmin, and everything else is above qmax
        free = replace(own.scale, qmin=-_ANY, qmax=_ANY)
        out = np.where(requantize(total, free, own.once) < qmin, qmin, qmax)
    if writes_wide(config, c):
        out = split_rows(out)
    found = out.astype(np.uint8)
    if c.table:
        found = buffers.tables[256 * (c.table - 1) + found.astype(np.int64)]
    return found


def _place(
    config: EngineConfig,
    c: Compute,
    out: NDArray[np.uint8],
    out_place: NDArray[np.int64],
    act_place: NDArray[np.int64],
    buffers: Buffers,
) -> None:
    """Write results: at words of the output buffer, at pixels of the activation buffer."""
    if c.to_out:
        buffers.results[out_place % config.out_depth] = out
    if c.to_act:
        word, lane = np.divmod(act_place, config.cols)
        buffers.activations[folded(word, lane_depth(config)), lane] = out
