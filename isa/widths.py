"""How wide addresses and counts must be: as the buffers need, not as the commands' fields allow.

Addresses are computed modulo the width: wherever they end up in the buffer, they are right. Those
behind the end of a buffer that is no power of two fall back into it (:func:`folded`).
"""

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.commands import Unit
from tilewright.isa.config import EngineConfig
from tilewright.isa.kernel_steps import MAX_KERNEL_STEPS

__all__ = [
    "ROW_WIDTH",
    "act_addr_width",
    "column_width",
    "folded",
    "lane_depth",
    "load_addr_width",
    "load_count_width",
    "offset_addr_width",
    "out_addr_width",
    "result_count_width",
    "step_count_width",
    "store_count_width",
    "weight_addr_width",
]


#: Bits of an input row's number, signed: ``in_h`` has 13, and windows reach as far beyond.
ROW_WIDTH = 15


def act_addr_width(config: EngineConfig) -> int:
    """Return the bits of a lane word's address."""
    return (config.act_depth - 1).bit_length()


def lane_depth(config: EngineConfig) -> int:
    """Return the words that a lane has: ``act_depth``, or one more where it has halves."""
    return -(-config.act_depth // config.lane_halves) * config.lane_halves


def folded(address: NDArray[np.int64], depth: int) -> NDArray[np.int64]:
    """Return which word of a memory of ``depth`` words an address is.

    It counts modulo the power of two that holds ``depth``; behind the end, its highest bit does
    not count.
    """
    room = 1 << (depth - 1).bit_length()
    address = address % room
    return address if depth == room else np.where(address < depth, address, address - room // 2)


def column_width(config: EngineConfig) -> int:
    """Return the bits of an input column's number, signed.

    A row is in the buffer as a whole, and windows reach at most as far beyond as it could be long.
    """
    return (config.act_depth * config.cols).bit_length() + 2


def weight_addr_width(config: EngineConfig) -> int:
    """Return the bits of a weight word's address."""
    return (config.weight_depth - 1).bit_length()


def load_addr_width(config: EngineConfig) -> int:
    """Return the bits of an address in the largest buffer that is loaded."""
    tables = (256 * config.tables - 1).bit_length() if config.tables else 0
    weights = weight_addr_width(config) + (config.kernel_width > 8)  # halves of words
    offsets = offset_addr_width(config) if config.offset_depth else 0
    steps = (MAX_KERNEL_STEPS - 1).bit_length() if config.transform_at_load else 0
    return max(act_addr_width(config), weights, tables, offsets, steps)


def offset_addr_width(config: EngineConfig) -> int:
    """Return the bits of a word's address in the offset buffer."""
    return (config.offset_depth - 1).bit_length()


def out_addr_width(config: EngineConfig) -> int:
    """Return the bits of an address in the output buffer."""
    return (config.out_depth - 1).bit_length()


def load_count_width(config: EngineConfig) -> int:
    """Return the bits that hold the words of the largest load: a row, or what a buffer holds."""
    fetched = config.queue_depth * max(map(config.command_bytes, Unit)) // config.bus_bytes
    weights = config.weight_depth * (2 if config.kernel_width > 8 else 1)
    steps = MAX_KERNEL_STEPS if config.transform_at_load else 0
    buffers = (weights, 256 * config.tables, config.offset_depth, steps)
    return max(config.act_depth * config.cols, *buffers, fetched).bit_length()


def result_count_width(config: EngineConfig) -> int:
    """Return the bits that hold the results of the largest command in one channel."""
    return max(config.act_depth * config.cols, config.out_depth).bit_length()


def step_count_width(config: EngineConfig) -> int:
    """Return the bits that hold the words of a burst: a segment's or the parameters."""
    return max(config.rows, config.cols, config.param_words).bit_length()


def store_count_width(config: EngineConfig) -> int:
    """Return the bits that hold the words of the largest store: all that are there."""
    return config.out_depth.bit_length()
