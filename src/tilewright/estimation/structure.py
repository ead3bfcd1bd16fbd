"""Memories and multipliers that an engine declares, and the sites that they take: exact.

The counterpart of the ``Memory`` and multiplier instances in :mod:`tilewright.hdl`, with the rules
by which Yosys maps memories (its ``memory_libmap``, techlibs/lattice and techlibs/ice40).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from tilewright.hdl.control.counters import Counters
from tilewright.hdl.families import get_family
from tilewright.hdl.load.kernels import KernelTransform
from tilewright.isa import EngineConfig, Unit
from tilewright.isa.kernel_steps import MAX_KERNEL_STEPS, MAX_KERNEL_TAPS, KernelStep
from tilewright.isa.tiles import MAX_TILE_ROWS
from tilewright.isa.widths import act_addr_width, out_addr_width

#: Bits of a product for which Yosys takes a multiplier; narrower ones are look-up tables, and of
#: Gowin's all. Source: Yosys, techlibs/ice40/synth_ice40.cc; boards/families/gowin.py.
LEAST_PRODUCT: dict[str, float] = {"ice40": 11, "gowin": inf}


@dataclass(frozen=True)
class DeclaredMemory:
    """Memories of one kind, each with a write port and a clocked read port.

    Parameters
    ----------
    name : str, what is in them
    count : int
    depth : int, words
    width : int, bits
    """

    name: str
    count: int
    depth: int
    width: int


def memories(config: EngineConfig) -> Iterator[DeclaredMemory]:
    """Yield the memories of an engine, without the FIFO of the store unit, which has no block."""
    rows, halves = config.rows, config.lane_halves
    lane_depth = -(-config.act_depth // halves)
    yield from _columns(config, "activations", config.cols * halves, lane_depth, 8 * rows)
    if config.split_columns:
        width = rows * config.weight_width
        yield from _columns(config, "weights", 2, config.weight_depth // 2, width)
    else:
        low_depth = config.weight_depth // config.weights_per_byte
        yield from _columns(config, "weights", 1, low_depth, 8 * rows)
    if (above := config.kernel_width - 8) > 0:
        yield from _columns(config, "weights", 1, config.weight_depth, above * rows)
    banks = config.result_words
    yield from _columns(config, "results", banks, config.out_depth // banks, 8 * rows)
    if config.offset_depth:
        yield DeclaredMemory("offsets", 2, config.offset_depth // 2, 8 * rows)
    for unit in Unit:
        words = config.command_bytes(unit) // config.bus_bytes
        yield DeclaredMemory("commands", 1, config.queue_depth * words, config.bus_width)
    yield DeclaredMemory("places", 1, 32 if config.offset_depth else 16, _place_width(config))
    if config.partial_depth:
        width = MAX_TILE_ROWS * config.acc_width
        yield DeclaredMemory("sums", config.requantizer_count, config.partial_depth, width)
    if config.tables:
        yield DeclaredMemory("tables", config.requantizer_count, 256 * config.tables, 8)
    if config.transform_at_load:
        step = sum(field.width for field in KernelStep.FIELDS)
        yield DeclaredMemory("kernels", 1, MAX_KERNEL_STEPS, step)
        taps = KernelTransform.KERNELS * MAX_KERNEL_TAPS
        yield DeclaredMemory("kernels", 1, taps, 8 * rows)
    if config.counters:
        yield DeclaredMemory("counters", 1, Counters.ROUND, 32)


def _columns(
    config: EngineConfig, name: str, count: int, depth: int, width: int
) -> Iterator[DeclaredMemory]:
    """Yield a buffer as the engine cuts it: into whole block RAMs, if it is pipelined."""
    column = width
    if config.pipelined:
        column = get_family(config.dsp).block_width(depth)  # type: ignore[no-untyped-call]
    whole, rest = divmod(width, column)
    if whole:
        yield DeclaredMemory(name, count * whole, depth, column)
    if rest:
        yield DeclaredMemory(name, count, depth, rest)


def _place_width(config: EngineConfig) -> int:
    """Return the bits that tell where a pass's results go, which wait until it is captured.

    Whether it is the last row is used with tiles of results alone.
    """
    addresses = act_addr_width(config) + out_addr_width(config)
    flags = (config.partial_depth > 0) + (config.shared_words or config.split_columns)
    return addresses + config.cols.bit_length() + flags


def array_multipliers(config: EngineConfig) -> int:
    """Return the multipliers of the array: some families' serve two columns each."""
    per = get_family(config.dsp).columns_per_multiplier
    return config.rows * -(-config.cols // per) // config.weights_per_byte


def parts_of_products(config: EngineConfig) -> int:
    """Return the multipliers of a requantizer: its operands are wider than theirs."""
    width = get_family(config.dsp).operand_width
    return -(-config.acc_width // width) * -(-config.multiplier_width // width)


def multipliers(config: EngineConfig) -> int:
    """Return the DSP multipliers of an engine."""
    count = array_multipliers(config)
    count += config.requantizer_count * parts_of_products(config)
    if config.partial_depth:
        # Steps from row to row of a tile's results, as wide as addresses.
        widths = act_addr_width(config), out_addr_width(config)
        count += sum(width >= LEAST_PRODUCT.get(config.dsp, 0) for width in widths)
    if config.offset_depth:
        count += 1  # rows of the sampler's pixels by the words of a row
    return count
