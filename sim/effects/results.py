"""What becomes of sums: requantized, looked up, written to the buffers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import Requantize
from tilewright.compiler.ir.arithmetic import requantize
from tilewright.isa import Compute, EngineConfig
from tilewright.sim.effects.buffers import Buffers

_WORD = 1 << 16


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
    scale = Requantize(
        tuple(multiplier), tuple(shift), c.zero_point, c.qmin, c.qmax, config.rounding
    )
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
    *,
    row: int = 0,
    column: int = 0,
) -> None:
    """Requantize and write the results of kernel groups, or those of one place in their tiles.

    ``total`` : (n_oy, n_ox * cols, kernel groups * rows)
    """
    if not (c.to_act or c.to_out):
        return
    total = total[:, : c.out_w].transpose(2, 0, 1)
    out = requantize(total, own.scale, own.once).astype(np.uint8).transpose(1, 2, 0)
    if c.table:
        out = buffers.tables[256 * (c.table - 1) + out.astype(np.int64)]
    oy: NDArray[np.int64] = np.arange(c.n_oy)
    if c.partial:
        if row >= c.last_h:
            oy = oy[:-1]
        oy = oy * c.tile_h + row
    x: NDArray[np.int64] = np.arange(c.out_w) * c.dst_step + column
    out_place = c.out_base + oy[:, None] * c.out_row_step + x
    lane = x + c.dst_lane
    act_place = c.dst_base + oy[:, None] * c.dst_row_step + lane // config.cols
    for number, kg in enumerate(kgs):
        one = out[: len(oy), :, number * config.rows : (number + 1) * config.rows]
        if c.to_out:
            place = (out_place + kg * c.out_kg_step) % _WORD % config.out_depth
            buffers.results[place] = one
        if c.to_act and len(oy):
            place = (act_place + kg * c.dst_kg_step) % _WORD
            buffers.activations[place, lane % config.cols] = one
