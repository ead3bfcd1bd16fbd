"""Partial sums: what a pass of a term of tiles adds to them, and what becomes of their totals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Compute, EngineConfig
from tilewright.isa.tiles import MAX_TILE_ROWS
from tilewright.sim.effects.buffers import Buffers
from tilewright.sim.effects.passes import passes_of, wrap
from tilewright.sim.effects.results import Parameters, write_tiles


def add_terms(
    config: EngineConfig, c: Compute, total: NDArray[np.int64], own: Parameters, buffers: Buffers
) -> None:
    """Add the (n_oy, n_ox * cols, rows) sums of a term to those before; write the results of last.

    Passes are done together as long as each has partial sums of its own.
    """
    sums = passes_of(config, c, total)
    together = max(1, config.partial_depth // (c.tile_w * config.drain_cycles))
    for first in range(0, len(sums), together):
        passes = np.arange(first, min(first + together, len(sums)))
        _add(config, c, passes, sums[passes], buffers.partial)
        if c.last:
            totals = np.stack(
                [
                    np.stack(
                        [
                            _totals(config, c, passes, row, column, buffers.partial)
                            for column in range(c.tile_w)
                        ],
                        axis=1,
                    )
                    for row in range(c.tile_h)
                ],
                axis=1,
            )
            write_tiles(config, c, passes, wrap(config, totals + own.bias), own, buffers)


def _entries(
    config: EngineConfig, c: Compute, passes: NDArray[np.int64], column: int
) -> NDArray[np.int64]:
    """Return where the (passes, rows, cols) partial sums of a column of tiles lie."""
    share = config.rows // config.requantizer_count
    row, pixel = np.arange(config.rows)[:, None], np.arange(config.cols)
    place = (passes[:, None, None] * c.tile_w + column) * config.drain_cycles
    return np.asarray((place + pixel * share + row % share) % config.partial_depth)


def _add(
    config: EngineConfig,
    c: Compute,
    passes: NDArray[np.int64],
    sums: NDArray[np.int64],
    partial: NDArray[np.int64],
) -> None:
    """Add the (passes, cols, rows) sums of passes to those of the tiles that they are for."""
    share = config.rows // config.requantizer_count
    sums = sums.transpose(0, 2, 1) << c.scale
    requantizer = np.arange(config.rows)[:, None] // share
    for column in range(c.tile_w):
        place = _entries(config, c, passes, column)
        for row in range(MAX_TILE_ROWS):
            term = sums << (row * c.row_shift + column * c.column_shift)
            if c.negative ^ (c.row_sign & row) ^ (c.column_sign & column) & 1:
                term = -term
            if not (c.rows_used >> row & 1 and c.columns_used >> column & 1):
                term = np.zeros_like(term)
            before = 0 if c.first else partial[place, row, requantizer]
            partial[place, row, requantizer] = wrap(config, before + term)


def _totals(
    config: EngineConfig,
    c: Compute,
    passes: NDArray[np.int64],
    row: int,
    column: int,
    partial: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the (passes, cols, rows) totals of one row and column of the tiles."""
    share = config.rows // config.requantizer_count
    requantizer = np.arange(config.rows)[:, None] // share
    total = partial[_entries(config, c, passes, column), row, requantizer]
    if c.third:  # -1/3 modulo a power of two: exact, since there is no remainder
        total = wrap(config, total * 0x55555555)
    return np.asarray((total >> c.halvings).transpose(0, 2, 1))
