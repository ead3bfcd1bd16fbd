"""The engine's buffers, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import EngineConfig
from tilewright.isa.kernel_steps import MAX_KERNEL_STEPS, MAX_KERNEL_TAPS, KernelStep
from tilewright.isa.tiles import MAX_TILE_ROWS
from tilewright.isa.widths import lane_depth


@dataclass
class Buffers:
    """The engine's memories, as they are when it starts.

    Parameters
    ----------
    activations : (lane_depth, cols, rows) bytes: words of each lane
    weights : (weight_depth, rows) signed, or half bytes below 16
    results : (out_depth, rows) bytes
    tables : (256 * tables,) bytes
    kernel_steps : MAX_KERNEL_STEPS steps of a transform of kernels
    kernels : (2, MAX_KERNEL_TAPS, rows) signed: taps of the last kernels, in turns
    turn : which of the two is next
    sums : (cols, rows) accumulators, as the last pass left them; None: after rows that share words
    partial : (partial_depth, 4 rows of a tile, requantizers) partial sums
    offsets : (offset_depth, rows) bytes
    strict : refuse contents that make no sense; else take them as hardware does
    """

    activations: NDArray[np.uint8]
    weights: NDArray[np.int16]
    results: NDArray[np.uint8]
    tables: NDArray[np.uint8]
    kernel_steps: list[KernelStep]
    kernels: NDArray[np.int8]
    turn: int
    sums: NDArray[np.int64] | None
    partial: NDArray[np.int64]
    offsets: NDArray[np.uint8]
    strict: bool

    @classmethod
    def of(cls, config: EngineConfig, *, strict: bool = False) -> Buffers:
        """Make an engine's buffers."""
        return cls(
            np.zeros((lane_depth(config), config.cols, config.rows), np.uint8),
            np.zeros((config.weight_depth, config.rows), np.int16),
            np.zeros((config.out_depth, config.rows), np.uint8),
            np.zeros(256 * config.tables, np.uint8),
            [KernelStep(tap=0)] * MAX_KERNEL_STEPS,
            np.zeros((2, MAX_KERNEL_TAPS, config.rows), np.int8),
            0,
            np.zeros((config.cols, config.rows), np.int64),
            np.zeros((config.partial_depth, MAX_TILE_ROWS, config.requantizer_count), np.int64),
            np.zeros((config.offset_depth, config.rows), np.uint8),
            strict,
        )
