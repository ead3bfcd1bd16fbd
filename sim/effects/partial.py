"""Partial sums: what a pass of a term of tiles adds to them, and what becomes of their totals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Compute, EngineConfig
from tilewright.isa.tiles import MAX_TILE_ROWS


def wrap(config: EngineConfig, total: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what is left in ``acc_width`` bits."""
    half = 1 << (config.acc_width - 1)
    if -half <= total.min() and total.max() < half:
        return total
    return (total + half) % (2 * half) - half


def _entries(config: EngineConfig, c: Compute, column: int) -> NDArray[np.int64]:
    """Return where the (n_oy * n_ox, rows, cols) partial sums of a column of tiles lie."""
    share = config.rows // config.requantizer_count
    passes: NDArray[np.int64] = np.arange(c.n_oy * c.n_ox)[:, None, None]
    row, pixel = np.arange(config.rows)[:, None], np.arange(config.cols)
    place = (passes * c.tile_w + column) * config.drain_cycles + pixel * share + row % share
    return np.asarray(place % config.partial_depth)


def add_partial(
    config: EngineConfig, c: Compute, total: NDArray[np.int64], partial: NDArray[np.int64]
) -> None:
    """Add the (n_oy, n_ox * cols, rows) sums of a term to those of the tiles that it is for."""
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
            partial[place, row, requantizer] = wrap(config, before + term)


def partial_sums(
    config: EngineConfig, c: Compute, row: int, column: int, partial: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the (n_oy, n_ox * cols, rows) totals of one row and column of the tiles."""
    share = config.rows // config.requantizer_count
    requantizer = np.arange(config.rows)[:, None] // share
    total = partial[_entries(config, c, column), row, requantizer]
    if c.third:  # -1/3 modulo a power of two: exact, since there is no remainder
        total = wrap(config, total * 0x55555555)
    total = (total >> c.halvings).transpose(0, 2, 1)
    return np.asarray(total.reshape(c.n_oy, -1, config.rows))
