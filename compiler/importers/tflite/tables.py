"""Functions of one tensor as tables, with the values that the reference kernels have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from tilewright.compiler.importers.tflite.call import Call, grid_of
from tilewright.compiler.quantized.graph import View

FloatArray = npt.NDArray[np.float32]


def _table(call: Call, function: Callable[[FloatArray], FloatArray]) -> View:
    """Tabulate as the kernels do: in float32, rounded half away from zero."""
    source, grid = grid_of(call.where, call.tensor(0)), call.grid
    points = np.arange(-128, 128) - source.zero_point
    with np.errstate(over="ignore"):
        reals = function(np.float32(source.scale) * points.astype(np.float32))
    steps = reals.astype(np.float32) * (np.float32(1) / np.float32(grid.scale))
    away = np.sign(steps) * np.floor(np.abs(steps) + np.float32(0.5))
    results = np.clip(away, grid.qmin - grid.zero_point, grid.qmax - grid.zero_point)
    values = torch.from_numpy(results.astype(np.float64) * grid.scale)
    return call.quantized(call.builder.table(call.where, call.view(0), source, values), grid)


def logistic(call: Call) -> View:
    """LOGISTIC: 1 / (1 + exp(-x))."""
    one = np.float32(1)
    return _table(call, lambda x: one / (one + np.exp(-x)))


def tanh(call: Call) -> View:
    """TANH."""
    return _table(call, np.tanh)
