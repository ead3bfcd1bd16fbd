"""Values by pass, in the order in which the array computes them, and by pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Compute, EngineConfig


def wrap(config: EngineConfig, total: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what is left in ``acc_width`` bits."""
    half = 1 << (config.acc_width - 1)
    if -half <= total.min() and total.max() < half:
        return total
    return (total + half) % (2 * half) - half


def passes_of(config: EngineConfig, c: Compute, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (n_oy, n_ox * cols, kernel groups * rows) values as (passes, cols, rows)."""
    parts = values.reshape(c.n_oy, c.n_ox, config.cols, -1, config.rows)
    return parts.transpose(3, 0, 1, 2, 4).reshape(-1, config.cols, config.rows)


def pixels_of(config: EngineConfig, c: Compute, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return them the other way round."""
    parts = values.reshape(-1, c.n_oy, c.n_ox, config.cols, config.rows)
    return parts.transpose(1, 2, 3, 0, 4).reshape(c.n_oy, c.n_ox * config.cols, -1)
