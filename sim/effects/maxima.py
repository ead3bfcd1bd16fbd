"""Sums that are the largest product instead."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Compute, EngineConfig
from tilewright.sim.effects.passes import passes_of, pixels_of

#: The array compares as many values as a byte of either sign has: nine bits.
_HALF = 256


def maxima(
    config: EngineConfig,
    c: Compute,
    windows: Iterator[NDArray[np.float32]],
    steps: NDArray[np.int16],
    before: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """Return the (n_oy, n_ox * cols, kernel groups * rows) largest products of rows.

    Parameters
    ----------
    steps : (windows, kernel groups, n_cg, 2**segment_log2, rows) weights
    before : (cols, rows), from which the first pass goes on, and each from the one before it;
        None: each begins anew
    """
    shape = (c.n_oy, c.n_ox * config.cols, -1)
    few = before is None or (before.min() >= -_HALF and before.max() < _HALF)
    if few and not c.transform and ((steps == 0) | (steps == 1)).all():
        return _of_bytes(config, c, windows, steps, before)
    # As products may be anything, their order matters.
    pairs = list(zip(windows, steps.astype(np.int64), strict=True))
    terms = (
        window[..., cg, channel].astype(np.int64) * weights[:, cg, step]
        for cg in range(c.n_cg)
        for window, weights in pairs
        for step, channel in _steps(config, c, cg)
    )
    if before is None:
        total: NDArray[np.int64] = reduce(_larger, terms)
        return total.reshape(shape)
    passes = np.stack([passes_of(config, c, term.reshape(shape)) for term in terms], axis=1)
    results = np.empty((len(passes), config.cols, config.rows), np.int64)
    for number, products in enumerate(passes):
        before = reduce(_larger, products, before)
        results[number] = before
    return pixels_of(config, c, results)


def _of_bytes(
    config: EngineConfig,
    c: Compute,
    windows: Iterator[NDArray[np.float32]],
    steps: NDArray[np.int16],
    before: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """Return the largest of activations as they are, which always fit."""
    total: NDArray[np.float32] | None = None
    for window, weights in zip(windows, steps.astype(np.float32), strict=True):
        for cg in range(c.n_cg):
            for step, channel in _steps(config, c, cg):
                term = window[..., cg, channel] * weights[:, cg, step]
                total = term if total is None else np.maximum(total, term)
    assert total is not None
    result = total.reshape(c.n_oy, c.n_ox * config.cols, -1).astype(np.int64)
    if before is None:
        return result
    passes = np.maximum.accumulate(passes_of(config, c, result), axis=0)
    return pixels_of(config, c, np.maximum(passes, before))


def _larger(total: NDArray[np.int64], term: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the terms that are larger, of what is left in nine bits, else what was there."""
    larger = (term + _HALF) % (2 * _HALF) > (total + _HALF) % (2 * _HALF)
    return np.where(larger, term, total)


def _steps(config: EngineConfig, c: Compute, cg: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield the steps of a segment of a channel group, with the channels that rows listen to."""
    count = c.segment if cg < c.n_cg - 1 else c.last_segment
    return enumerate(channels_of(config, c)[:count])


def channels_of(config: EngineConfig, c: Compute) -> NDArray[np.int64]:
    """Return the (2**segment_log2, rows) channels that rows listen to in the steps of a segment."""
    row, step = np.arange(config.rows), np.arange(1 << c.segment_log2)
    return np.asarray((row >> c.segment_log2 << c.segment_log2) + step[:, None])
