"""What store commands write to memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import EngineConfig, Store
from tilewright.sim.effects.buffers import Buffers
from tilewright.sim.effects.memory import rows_of


def run_store(
    config: EngineConfig, command: Store, memory: NDArray[np.uint8], buffers: Buffers
) -> None:
    """Execute a store command."""
    c = command
    places = np.arange(c.base, c.base + c.groups * c.height * c.width) % config.out_depth
    pixels = buffers.results[places].reshape(c.groups, c.height, c.width * config.rows)
    for group in range(c.groups):
        address = c.address + group * c.group_stride
        data = rows_of(config, memory, address, height=c.height, width=c.width, pixel=config.rows)
        data[:, : c.width * config.rows] = pixels[group]
        data[:, c.width * config.rows :] = 0
