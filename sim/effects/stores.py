"""What store commands write to memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import EngineConfig, Store
from tilewright.isa.layout import align
from tilewright.sim.effects.buffers import Buffers
from tilewright.sim.effects.memory import write


def run_store(
    config: EngineConfig, command: Store, memory: NDArray[np.uint8], buffers: Buffers
) -> None:
    """Execute a store command."""
    c = command
    places = np.arange(c.base, c.base + c.groups * c.height * c.width) % config.out_depth
    pixels = buffers.results[places].reshape(c.groups, c.height, c.width * config.rows)
    row_bytes = align(c.width * config.rows, config.bus_bytes)
    for group in range(c.groups):
        data = np.zeros((c.height, row_bytes), np.uint8)
        data[:, : c.width * config.rows] = pixels[group]
        write(config, memory, c.address + group * c.group_stride, data)
