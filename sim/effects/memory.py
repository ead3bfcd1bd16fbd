"""The memory behind the bus, as bytes. Addresses wrap at the end of those that an engine has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Command, EngineConfig, LoadActivations, Store
from tilewright.isa.layout import align, moved_bytes, reach


def outside(config: EngineConfig, command: Command, size: int) -> int | None:
    """Return the first byte that a command to memory reaches behind ``size`` bytes, if one."""
    address, end = command.address, command.address + reach(config, command)  # type: ignore[attr-defined]
    if end <= size:
        return None
    space = 1 << config.addr_width
    if end <= space or not isinstance(command, LoadActivations | Store):
        runs = np.array([address])
        length = end - address
    else:
        runs = address + np.arange(command.groups) * command.group_stride
        length = moved_bytes(config, command) // command.groups
    runs %= space
    ends = runs + length
    wrapped = ends > space
    if (runs >= size).any() or (np.where(wrapped, space, ends) > size).any():
        return max(size, int(runs.max()))
    return None


def span(
    config: EngineConfig, memory: NDArray[np.uint8], address: int, count: int
) -> NDArray[np.uint8]:
    """Return ``count`` bytes from ``address`` on, all of which are there."""
    space = 1 << config.addr_width
    address %= space
    if address + count <= space:
        return memory[address : address + count]
    return memory[(address + np.arange(count)) % space]


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
    return span(config, memory, address, height * row_bytes).reshape(height, row_bytes)


def write(
    config: EngineConfig, memory: NDArray[np.uint8], address: int, data: NDArray[np.uint8]
) -> None:
    """Write bytes from ``address`` on, all of which are there."""
    space = 1 << config.addr_width
    flat = data.reshape(-1)
    for first in range(0, flat.size, space):  # later ones over those before
        part = flat[first : first + space]
        at = (address + first) % space
        before = min(part.size, space - at)
        memory[at : at + before] = part[:before]
        memory[: part.size - before] = part[before:]
