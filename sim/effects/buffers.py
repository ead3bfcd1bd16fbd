"""The engine's buffers, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import EngineConfig
from tilewright.isa.kernel_steps import MAX_KERNEL_STEPS, KernelStep
from tilewright.isa.tiles import MAX_TILE_ROWS


@dataclass
class Buffers:
    """The engine's memories, as they are when it starts.

    Parameters
    ----------
    activations : (act_depth, cols, rows) bytes: words of each lane
    weights : (weight_depth, rows) signed, or half bytes below 16
    results : (out_depth, rows) bytes
    tables : (256 * tables,) bytes
    kernel_steps : MAX_KERNEL_STEPS steps of a transform of kernels
    sums : (cols, rows) accumulators, as the last pass left them; None: after rows that share words
    partial : (partial_depth, 4 rows of a tile, requantizers) partial sums
    offsets : (offset_depth, rows) bytes
    """

    activations: NDArray[np.uint8]
    weights: NDArray[np.int16]
    results: NDArray[np.uint8]
    tables: NDArray[np.uint8]
    kernel_steps: list[KernelStep]
    sums: NDArray[np.int64] | None
    partial: NDArray[np.int64]
    offsets: NDArray[np.uint8]

    @classmethod
    def of(cls, config: EngineConfig) -> Buffers:
        """Make an engine's buffers."""
        return cls(
            np.zeros((config.act_depth, config.cols, config.rows), np.uint8),
            np.zeros((config.weight_depth, config.rows), np.int16),
            np.zeros((config.out_depth, config.rows), np.uint8),
            np.zeros(256 * config.tables, np.uint8),
            [KernelStep(tap=0)] * MAX_KERNEL_STEPS,
            np.zeros((config.cols, config.rows), np.int64),
            np.zeros((config.partial_depth, MAX_TILE_ROWS, config.requantizer_count), np.int64),
            np.zeros((config.offset_depth, config.rows), np.uint8),
        )
