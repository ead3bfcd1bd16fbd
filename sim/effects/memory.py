"""The memory behind the bus, as bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import EngineConfig
from tilewright.isa.layout import align
from tilewright.sim.errors import ExecutionError


def span(memory: NDArray[np.uint8], address: int, count: int) -> NDArray[np.uint8]:
    """Return ``count`` bytes from ``address`` on, to be read or written.

    Raises
    ------
    ExecutionError
        If the memory ends before.
    """
    if address + count > memory.size:
        raise ExecutionError(
            f"a command reaches byte {address + count - 1} of a memory of {memory.size}"
        )
    return memory[address : address + count]


def rows_of(
    config: EngineConfig,
    memory: NDArray[np.uint8],
    address: int,
    *,
    height: int,
    width: int,
    pixel: int,
) -> NDArray[np.uint8]:
    """Return the (height, row bytes) bytes of feature map rows of ``pixel`` bytes a pixel."""
    row_bytes = align(width * pixel, config.bus_bytes)
    return span(memory, address, height * row_bytes).reshape(height, row_bytes)
