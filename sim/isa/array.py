"""What a compute command does to the buffers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import Requantize
from tilewright.compiler.ir.reference import requantize
from tilewright.compiler.isa import Compute, EngineConfig
from tilewright.errors import Error

_WORD = 1 << 16


class ExecutionError(Error):
    """A program asks for something that the engine refuses."""


def run_compute(
    config: EngineConfig,
    command: Compute,
    activations: NDArray[np.uint8],
    weights: NDArray[np.uint8],
    results: NDArray[np.uint8],
    tables: NDArray[np.uint8],
) -> None:
    """Execute a command.

    Parameters
    ----------
    activations : (cols, act_depth, rows) bytes
    weights : (weight_depth, rows) bytes, or half bytes below 16
    results : (out_depth, rows) bytes
    tables : (256 * tables,) bytes
    """
    c, rows, cols = command, config.rows, config.cols
    if c.segment_log2 < config.least_segment_log2:
        raise ExecutionError("a pair of rows has one activation: segments are at least 2 rows")
    if (c.x0_word, c.x0_lane) != divmod(c.x0, cols) or (c.s_word, c.s_lane) != divmod(c.s_dx, cols):
        raise ExecutionError("a compute command's columns and words disagree")
    if c.table > config.tables:
        raise ExecutionError(f"a compute command uses table {c.table} of {config.tables}")
    steps = c.n_r * c.n_s * ((c.n_cg - 1) * c.segment + c.last_segment)
    weight_addr = c.weight_base
    size = 1 << c.segment_log2
    pixels = np.arange(c.n_ox * cols)
    oy = np.arange(c.n_oy)
    for kg in range(c.n_kg):
        span = (
            np.arange(weight_addr, weight_addr + config.param_words + steps) % config.weight_depth
        )
        weight_addr += config.param_words + steps
        block = weights[span]
        bias, multiplier, shift = _unpack_parameters(config, block[: config.param_words])
        words = _signed(config, block[config.param_words :]).astype(np.float64)
        if c.maximum and not np.isin(words, (0, 1)).all():
            raise ExecutionError("a maximum takes activations as they are: its weights are 0 or 1")
        acc: NDArray[np.float64] | None = None
        step = 0
        for cg in range(c.n_cg):
            count = c.last_segment if cg == c.n_cg - 1 else c.segment
            for r in range(c.n_r):
                y = c.y0 + oy * c.oy_dy + r * c.r_dy
                row = (c.act_row + oy * c.oy_step + r * c.r_step) % c.act_ring
                row_addr = c.act_base + kg * c.kg_step + cg * c.cg_step + row
                for s in range(c.n_s):
                    x = c.x0 + pixels * c.stride_x + s * c.s_dx
                    addr = (row_addr[:, None] + x // cols) % _WORD
                    inside = ((y >= 0) & (y < c.in_h))[:, None] & (x >= 0) & (x < c.in_w)
                    addr = np.where(inside, addr, 0)
                    if inside.any() and int(addr.max()) >= config.act_depth:
                        raise ExecutionError("a compute command reads beyond the activation buffer")
                    window = activations[x % cols, addr]
                    window = np.where(inside[..., None], window, np.uint8(c.pad))
                    data = (window.view(np.int8) if c.signed else window).astype(np.float64)
                    # Row k listens to the channels of its own segment of rows.
                    heard = data.reshape(c.n_oy, -1, rows // size, size)[..., :count]
                    segment = words[step : step + count].reshape(count, rows // size, size)
                    step += count
                    if c.maximum:
                        products = heard[..., None] * segment.transpose(1, 0, 2)
                        term = products.max(-2).reshape(c.n_oy, -1, rows)
                        acc = term if acc is None else np.maximum(acc, term)
                        continue
                    term = np.einsum("ypgi,igk->ypgk", heard, segment, optimize=True)
                    term = term.reshape(c.n_oy, -1, rows)
                    acc = term if acc is None else acc + term
        assert acc is not None
        total: NDArray[np.int64] = acc.astype(np.int64) + bias
        half = 1 << (config.acc_width - 1)
        total = (total + half) % (2 * half) - half
        scale = Requantize(multiplier, shift, c.zero_point, c.qmin, c.qmax)
        out = requantize(total.transpose(2, 0, 1), scale).transpose(1, 2, 0).astype(np.uint8)
        if c.table:
            out = tables[256 * (c.table - 1) + out.astype(np.int64)]
        column: NDArray[np.int64] = np.arange(c.out_w) * c.dst_step
        if c.to_out:
            place = c.out_base + kg * c.out_kg_step + oy[:, None] * c.out_row_step + column
            results[place % _WORD % config.out_depth] = out[:, : c.out_w]
        if c.to_act:
            column = column + c.dst_lane
            dst = c.dst_base + kg * c.dst_kg_step + oy[:, None] * c.dst_row_step
            dst = (dst + column // cols) % _WORD
            if int(dst.max()) >= config.act_depth:
                raise ExecutionError("a compute command writes beyond the activation buffer")
            activations[column % cols, dst] = out[:, : c.out_w]


def _signed(config: EngineConfig, words: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Return weights as integers, from the low ``weight_bits`` of each entry."""
    unused = 8 - config.weight_bits
    return (words << unused).view(np.int8) >> unused


def _unpack_parameters(
    config: EngineConfig, words: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], tuple[int, ...], tuple[int, ...]]:
    places = [config.weight_bits * i for i in range(config.param_words)]
    values = [
        sum(int(part) << place for part, place in zip(words[:, row], places, strict=True))
        for row in range(config.rows)
    ]
    half = 1 << (config.acc_width - 1)
    bias = [((v & (2 * half - 1)) ^ half) - half for v in values]
    multiplier = [v >> config.acc_width & ((1 << config.multiplier_width) - 1) for v in values]
    shift = [v >> (config.acc_width + config.multiplier_width) & 63 for v in values]
    return np.array(bias, np.int64), tuple(multiplier), tuple(shift)
