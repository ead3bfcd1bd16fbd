"""What a compute command does to the buffers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import Requantize
from tilewright.compiler.ir.arithmetic import requantize
from tilewright.isa import Compute, Deform, EngineConfig
from tilewright.isa.tiles import MAX_TILE_ROWS
from tilewright.sim.effects.buffers import Buffers
from tilewright.sim.effects.sampler import Sampler
from tilewright.sim.errors import ExecutionError

_WORD = 1 << 16


def run_compute(
    config: EngineConfig, command: Compute, buffers: Buffers, deform: Deform | None = None
) -> None:
    """Execute a command, with the Deform before it if there is one."""
    c = command
    sampler = None
    if deform is not None:
        sampler = Sampler(config, deform, c, buffers.activations, buffers.offsets)
    steps = c.windows * ((c.n_cg - 1) * c.segment + c.last_segment)
    weight_addr = c.weight_base
    for kg in range(c.n_kg):
        span = (
            np.arange(weight_addr, weight_addr + config.param_words + steps) % config.weight_depth
        )
        weight_addr += config.param_words + steps
        block = buffers.weights[span]
        bias, multiplier, shift = _unpack_parameters(config, block[: config.param_words])
        scale = Requantize(multiplier, shift, c.zero_point, c.qmin, c.qmax)
        words = _signed(config, block[config.param_words :]).astype(np.float64)
        if c.maximum and not np.isin(words, (0, 1)).all():
            raise ExecutionError("a maximum takes activations as they are: its weights are 0 or 1")
        total = _sums(config, c, kg, words, buffers.activations, sampler)
        if not c.partial:
            _write(config, c, kg, _wrap(config, total + bias), scale, buffers)
            continue
        _add_partial(config, c, _wrap(config, total), buffers.partial)
        if c.last:
            for row in range(c.tile_h):
                for column in range(c.tile_w):
                    total = _partial_sums(config, c, row, column, buffers.partial)
                    total = _wrap(config, total + bias)
                    _write(config, c, kg, total, scale, buffers, row, column)


def _sums(
    config: EngineConfig,
    c: Compute,
    kg: int,
    words: NDArray[np.float64],
    activations: NDArray[np.uint8],
    sampler: Sampler | None,
) -> NDArray[np.int64]:
    """Return the (n_oy, n_ox * cols, rows) accumulators of a kernel group."""
    acc: NDArray[np.float64] | None = None
    for number, window in enumerate(_windows(config, c, kg, activations, sampler)):
        # Weight words of this window, by channel group.
        whole, last = c.windows * c.segment, (c.n_cg - 1) * c.windows * c.segment
        first = words[:last].reshape(c.n_cg - 1, whole, config.rows)
        first = first[:, number * c.segment : (number + 1) * c.segment]
        rest = words[last + number * c.last_segment :][: c.last_segment]
        for windows, segments in ((window[:-1], first), (window[-1:], rest[None])):
            if not len(windows):
                continue
            term = _products(config, c, windows, segments)
            if acc is None:
                acc = term
            else:
                acc = np.maximum(acc, term) if c.maximum else acc + term
    assert acc is not None
    return acc.astype(np.int64)


def _products(
    config: EngineConfig,
    c: Compute,
    windows: NDArray[np.float64],
    segments: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the (n_oy, pixels, rows) sums, or maxima, over channel groups.

    ``windows``: (groups, n_oy, pixels, rows); ``segments``: (groups, steps, rows), weight words.
    """
    size, count = 1 << c.segment_log2, segments.shape[1]
    if size == config.rows and not c.maximum:
        heard = np.moveaxis(windows[..., :count], 0, 2)
        dense = heard.reshape(*heard.shape[:2], -1) @ segments.reshape(-1, config.rows)
        return np.asarray(dense)
    # Row k listens to the channels of its own segment of rows.
    heard = windows.reshape(*windows.shape[:3], config.rows // size, size)[..., :count]
    weights = segments.reshape(len(segments), count, config.rows // size, size)
    if c.maximum:
        products = heard[..., None] * weights.transpose(0, 2, 1, 3)[:, None, None]
        result = products.max(-2).max(0)
    else:
        result = np.einsum("cypgi,cigk->ypgk", heard, weights, optimize=True)
    return np.asarray(result.reshape(c.n_oy, -1, config.rows))


def _windows(
    config: EngineConfig,
    c: Compute,
    kg: int,
    activations: NDArray[np.uint8],
    sampler: Sampler | None,
) -> Iterator[NDArray[np.float64]]:
    """Yield the (n_cg, n_oy, n_ox * cols, rows) activations of one window after another."""
    total: NDArray[np.float64] | None = None
    taps = [(r, s) for r in range(c.n_r) for s in range(c.n_s)]
    for number, (r, s) in enumerate(taps):
        if sampler is None:
            pixels = _window(config, c, kg, r, s, activations)
        else:
            pixels = np.stack([sampler.window(kg, cg, r, s) for cg in range(c.n_cg)])
        values = _values(c, pixels)
        if not c.transform:
            yield values
            continue
        values *= c.coefficient(number)
        total = values if total is None else total + values
    if total is not None:
        half = 1 << (config.data_width - 1)
        if total.min() < -half or total.max() >= half:
            raise ExecutionError(f"a transformed window needs more than {config.data_width} bits")
        yield total


def _values(c: Compute, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return what bytes stand for."""
    return (pixels.view(np.int8) if c.signed else pixels).astype(np.float64)


def _window(
    config: EngineConfig, c: Compute, kg: int, r: int, s: int, activations: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the (n_cg, n_oy, n_ox * cols, rows) bytes under one tap."""
    cols = config.cols
    oy = np.arange(c.n_oy)
    y = c.y0 + oy * c.oy_dy + r * c.r_dy
    row = (c.act_row + oy * c.oy_step + r * c.r_step) % c.act_ring
    groups = c.act_base + kg * c.kg_step + np.arange(c.n_cg) * c.cg_step
    x = c.x0 + np.arange(c.n_ox * cols) * c.stride_x + s * c.s_dx
    addr = (groups[:, None, None] + (row[:, None] + x // cols)) % _WORD
    inside = ((y >= 0) & (y < c.in_h))[:, None] & (x >= 0) & (x < c.in_w)
    addr = np.where(inside, addr, 0)
    if inside.any() and int(addr.max()) >= config.act_depth:
        raise ExecutionError("a compute command reads beyond the activation buffer")
    pixels: NDArray[np.uint8] = activations[x % cols, addr]
    pixels[:, ~inside] = c.pad
    return pixels


def _wrap(config: EngineConfig, total: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what is left in ``acc_width`` bits."""
    half = 1 << (config.acc_width - 1)
    return (total + half) % (2 * half) - half


def _entries(config: EngineConfig, c: Compute, column: int) -> NDArray[np.int64]:
    """Return where the (n_oy * n_ox, rows, cols) partial sums of a column of tiles lie."""
    share = config.rows // config.requantizer_count
    passes: NDArray[np.int64] = np.arange(c.n_oy * c.n_ox)[:, None, None]
    row, pixel = np.arange(config.rows)[:, None], np.arange(config.cols)
    place = (passes * c.tile_w + column) * config.drain_cycles + pixel * share + row % share
    return np.asarray(place % config.partial_depth)


def _add_partial(
    config: EngineConfig, c: Compute, total: NDArray[np.int64], partial: NDArray[np.int64]
) -> None:
    share = config.rows // config.requantizer_count
    sums = total.reshape(c.n_oy * c.n_ox, config.cols, config.rows).transpose(0, 2, 1)
    sums = sums << c.scale
    requantizer = np.arange(config.rows)[:, None] // share
    for column in range(c.tile_w):
        place = _entries(config, c, column)
        for row in range(MAX_TILE_ROWS):
            term = sums << (row * c.row_shift + column * c.column_shift)
            if c.negative ^ (c.row_sign & row) ^ (c.column_sign & column) & 1:
                term = -term
            if not (c.rows_used >> row & 1 and c.columns_used >> column & 1):
                term = np.zeros_like(term)
            before = 0 if c.first else partial[place, row, requantizer]
            partial[place, row, requantizer] = _wrap(config, before + term)


def _partial_sums(
    config: EngineConfig, c: Compute, row: int, column: int, partial: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the (n_oy, n_ox * cols, rows) totals of one row and column of the tiles."""
    share = config.rows // config.requantizer_count
    requantizer = np.arange(config.rows)[:, None] // share
    total = partial[_entries(config, c, column), row, requantizer]
    if c.third:  # -1/3 modulo a power of two: exact, since there is no remainder
        total = _wrap(config, total * 0x55555555)
    total = (total >> c.halvings).transpose(0, 2, 1)
    return np.asarray(total.reshape(c.n_oy, -1, config.rows))


def _write(
    config: EngineConfig,
    c: Compute,
    kg: int,
    total: NDArray[np.int64],
    scale: Requantize,
    buffers: Buffers,
    row: int = 0,
    column: int = 0,
) -> None:
    """Requantize and write the results of a kernel group, or those of one place in its tiles."""
    out = requantize(total.transpose(2, 0, 1), scale).transpose(1, 2, 0).astype(np.uint8)
    if c.table:
        out = buffers.tables[256 * (c.table - 1) + out.astype(np.int64)]
    oy: NDArray[np.int64] = np.arange(c.n_oy)
    if c.partial:
        if row >= c.last_h:
            oy = oy[:-1]
        oy = oy * c.tile_h + row
    out = out[: len(oy), : c.out_w]
    x: NDArray[np.int64] = np.arange(c.out_w) * c.dst_step + column
    if c.to_out:
        place = c.out_base + kg * c.out_kg_step + oy[:, None] * c.out_row_step + x
        buffers.results[place % _WORD % config.out_depth] = out
    if c.to_act and len(oy):
        x = x + c.dst_lane
        dst = c.dst_base + kg * c.dst_kg_step + oy[:, None] * c.dst_row_step
        dst = (dst + x // config.cols) % _WORD
        buffers.activations[x % config.cols, dst] = out


def _signed(config: EngineConfig, words: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return weights as integers, which half bytes are not yet."""
    return (words ^ 8) - 8 if config.weight_bits == 4 else words


def _unpack_parameters(
    config: EngineConfig, words: NDArray[np.int16]
) -> tuple[NDArray[np.int64], tuple[int, ...], tuple[int, ...]]:
    places = [config.weight_bits * i for i in range(config.param_words)]
    words = words & ((1 << config.weight_bits) - 1)
    values = [
        sum(int(part) << place for part, place in zip(words[:, row], places, strict=True))
        for row in range(config.rows)
    ]
    half = 1 << (config.acc_width - 1)
    bias = [((v & (2 * half - 1)) ^ half) - half for v in values]
    multiplier = [v >> config.acc_width & ((1 << config.multiplier_width) - 1) for v in values]
    shift = [v >> (config.acc_width + config.multiplier_width) & 63 for v in values]
    return np.array(bias, np.int64), tuple(multiplier), tuple(shift)
