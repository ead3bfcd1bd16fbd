"""What cells of an engine are proportional to: terms for each of its rooms.

A room is a unit or a buffer of :mod:`tilewright.hdl`. Terms follow from how it is built; how many
cells each costs is fitted to syntheses (``benchmarks/estimates.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tilewright.boards.families import get_family
from tilewright.estimation.structure import memories
from tilewright.hdl.families import get_family as get_hdl_family
from tilewright.isa import EngineConfig, Unit
from tilewright.isa.widths import (
    act_addr_width,
    column_width,
    load_addr_width,
    load_count_width,
    out_addr_width,
    weight_addr_width,
)

__all__ = ["ROOMS", "room_of", "terms"]

#: By the beginning of a module's name; the first that fits counts.
ROOMS = {
    "activations": "activations",
    "weights": "weights",
    "results": "results",
    "offsets": "sampler",
    "compute.drain.requantize": "requantize",
    "compute.drain.lookup": "requantize",
    "compute.drain.partial": "partial",
    "compute.drain": "drain",
    "compute.feeder": "feeder",
    "compute.sampler": "sampler",
    "compute_queue": "queues",
    "load_queue": "queues",
    "store_queue": "queues",
    "compute": "compute",
    "load": "load",
    "store": "store",
    "": "control",
}


def room_of(module: str) -> str:
    """Return the room of a module, by the names of instances from the top on."""
    return next(room for start, room in ROOMS.items() if module.startswith(start))


def terms(config: EngineConfig) -> dict[str, dict[str, float]]:
    """Return the terms of each room, by name."""
    engine = _Engine.of(config)
    return {room: {k: float(v) for k, v in of(engine).items()} for room, of in _TERMS.items()}


@dataclass(frozen=True)
class _Engine:
    """What terms are made of; options are 1 or 0."""

    c: EngineConfig
    rows: int
    cols: int
    cells: int
    q: int
    fast: int
    tiles: int
    sampler: int
    act: int
    weight: int

    @classmethod
    def of(cls, config: EngineConfig) -> _Engine:
        return cls(
            c=config,
            rows=config.rows,
            cols=config.cols,
            cells=config.multipliers,
            q=config.requantizer_count,
            fast=int(config.pipelined),
            tiles=int(config.partial_depth > 0),
            sampler=int(config.offset_depth > 0),
            act=act_addr_width(config),
            weight=weight_addr_width(config),
        )


_Terms = dict[str, float]


def _activations(e: _Engine) -> _Terms:
    c, rows, cols, cells = e.c, e.rows, e.cols, e.cells
    fast, sampler, act = e.fast, e.sampler, e.act
    return {
        "lanes' bits": 8 * cells,
        "lanes' bits, pipelined": 8 * cells * fast,
        "words' bits": 8 * rows,
        "words' bits, pipelined": 8 * rows * fast,
        "addresses": cols * act,
        "columns' addresses": fast * _columns(c, "activations") * (2 * act + 1),
        "lanes in halves": 8 * cells * sampler,
        "banks": _banks(c, "activations"),
        "lanes": cols,
    }


def _weights(e: _Engine) -> _Terms:
    c, rows, fast, weight = e.c, e.rows, e.fast, e.weight
    return {
        "words' bits": rows * (8 if c.weight_bits == 8 else 4),
        "words' bits, pipelined": 8 * rows * fast,
        "bits above a byte": rows * (c.kernel_width - 8),
        "transformed": rows * c.kernel_width * c.transform_at_load,
        "columns' addresses": fast * -(-_columns(c, "weights") // 4) * (2 * weight + 1),
        "banks": _banks(c, "weights"),
        "halves": rows * 4 * (c.weight_bits == 4),
        "one": 1,
    }


def _results(e: _Engine) -> _Terms:
    c, rows, fast = e.c, e.rows, e.fast
    return {
        "words' bits": 8 * rows,
        "words' bits, pipelined": 8 * rows * fast,
        "columns' addresses": fast * -(-_columns(c, "results") // 4) * out_addr_width(c),
        "banks": _banks(c, "results"),
        "one": 1,
    }


def _compute(e: _Engine) -> _Terms:
    c, rows, cols, cells, fast, tiles, sampler, act, weight = (
        e.c,
        e.rows,
        e.cols,
        e.cells,
        e.fast,
        e.tiles,
        e.sampler,
        e.act,
        e.weight,
    )
    product = (16 if c.weight_bits == 8 else 12) + (c.data_width - 9) + (c.kernel_width - 8)
    return {
        "accumulators": cells * c.acc_width,
        "cells": cells,
        "products": cells * product,
        "weights' copies": cells * c.weight_width * fast,
        "rows": rows,
        "lanes": cols,
        "maxima": cells * c.maximum,
        "words' bits": rows * c.weight_width,
        "one": 1,
        "pipelined": fast,
        "addresses": act,
        "columns": column_width(c),
        "weights": weight,
        "counts": c.count_width,
        "held": float(c.prefetch),
        "held, addresses": (act + weight) * float(c.prefetch),
        "tiles": tiles,
        "held tiles": tiles * c.prefetch,
        "sampler": sampler,
        "sampler, addresses": act * sampler,
        "maps": int(c.multiplies_maps),
        "maps, cells": cells * c.multiplies_maps,
        "maps, words": 8 * rows * c.multiplies_maps,
        "shared": int(c.shared_words),
        "shared, columns": cols * c.shared_words,
        "shared, bits": column_width(c) * c.shared_words,
    }


def _requantize(e: _Engine) -> _Terms:
    c, q, fast = e.c, e.q, e.fast
    return {
        "pipelines": q,
        "sums": q * c.acc_width,
        "products": q * (c.acc_width + c.multiplier_width),
        "sums, pipelined": q * c.acc_width * fast,
        "pipelines, pipelined": q * fast,
        "parts": q * fast * _parts(c),
        "rounded twice": q * (c.rounding == "double"),
        "tables": q * (c.tables > 0),
        "tables' banks": _banks(c, "tables"),
    }


def _partial(e: _Engine) -> _Terms:
    c, q, tiles = e.c, e.q, e.tiles
    return {
        "sums": tiles * q * c.acc_width,
        "heads": tiles * q,
        "one": tiles,
        "banks": _banks(c, "sums"),
    }


def _drain(e: _Engine) -> _Terms:
    c, rows, cols, cells = e.c, e.rows, e.cols, e.cells
    q, fast, tiles = e.q, e.fast, e.tiles
    parameters = c.acc_width + c.multiplier_width + 6
    return {
        "copies": cells * c.acc_width,
        "parameters": rows * parameters,
        "parameters, early": rows * parameters * c.early_parameters,
        "rows": rows,
        "results": 8 * rows,
        "requantizers": q,
        "cells": cells,
        "held": float(c.prefetch or tiles),
        "pipelined": fast,
        "one": 1,
        "tiles": tiles,
        "shared": int(c.shared_words),
        "shared, columns": cols * c.shared_words,
        "first copies": q * c.acc_width * tiles,
        "last copies": q * c.acc_width,
    }


def _feeder(e: _Engine) -> _Terms:
    c, rows, cols, cells = e.c, e.rows, e.cols, e.cells
    fast, sampler, act = e.fast, e.sampler, e.act
    summed = int(c.data_width > 9)
    return {
        "windows": 8 * cells,
        "choices": 8 * cells * _choice(c),
        "decisions": rows / 2 * cols * (cols - 1).bit_length(),
        "decisions, pipelined": cols * (cols - 1).bit_length() * fast,
        "rows' decisions": cells,
        "lanes' pixels": cols * cols,
        "columns": cols * column_width(c),
        "addresses": cols * act,
        "addresses, pipelined": cols * act * fast,
        "sums": cells * summed,
        "sums' bits": cells * summed * c.window_width,
        "sampled": rows * 8 * sampler,
        "halves": cells * 8 * sampler,
        "halves' addresses": cols * act * sampler,
        "lanes": cols,
        "one": 1,
        "shared, columns": cols * c.shared_words,
        "shared, windows": 8 * cells * c.shared_words,
    }


def _sampler(e: _Engine) -> _Terms:
    c, rows, cols, sampler, act = e.c, e.rows, e.cols, e.sampler, e.act
    return {
        "one": sampler,
        "channels": sampler * rows,
        "fractions": sampler * rows * c.offset_fraction,
        "fractions squared": sampler * rows * c.offset_fraction**2,
        "masks": sampler * rows * c.mask_fraction,
        "masks, fractions": sampler * rows * c.mask_fraction * c.offset_fraction,
        "masked": sampler * rows * (c.mask_fraction > 0),
        "lanes": sampler * cols * act,
        "words": sampler * 8 * rows * cols,
        "banks": _banks(c, "offsets"),
    }


def _queues(e: _Engine) -> _Terms:
    c, fast = e.c, e.fast
    bits = 8 * sum(c.command_bytes(unit) for unit in Unit)
    return {
        "bus": c.bus_width,
        "bus, pipelined": c.bus_width * fast,
        "commands": bits,
        "depth": sum((c.queue_depth * c.command_bytes(u) - 1).bit_length() for u in Unit),
        "one": 1,
        "pipelined": fast,
        "banks": _banks(c, "commands"),
    }


def _load(e: _Engine) -> _Terms:
    c, rows, cols, fast = e.c, e.rows, e.cols, e.fast
    return {
        "one": 1,
        "bus": c.bus_width,
        "bus, pipelined": c.bus_width * fast,
        "words' bits": 8 * rows,
        "words' bits, pipelined": 8 * rows * fast,
        "wider": max(8 * rows, c.bus_width),
        "widened": float(8 * rows > c.bus_width) * 8 * rows,
        "memory": c.addr_width,
        "addresses": load_addr_width(c),
        "counts": load_count_width(c),
        "completions": c.count_width,
        "held": float(c.prefetch),
        "outstanding": c.outstanding,
        "pipelined": fast,
        "kernels": rows * c.kernel_width * c.transform_at_load,
        "transform": float(c.transform_at_load),
        "lanes": cols,
        "bus in words": c.bus_width * (8 * rows < c.bus_width),
        "parameters": (c.burst_beats - 1).bit_length(),
    }


def _store(e: _Engine) -> _Terms:
    c, rows, fast = e.c, e.rows, e.fast
    return {
        "one": 1,
        "bus": c.bus_width,
        "words' bits": 8 * rows,
        "words' bits, pipelined": 8 * rows * fast,
        "wider": max(8 * rows, c.bus_width),
        "memory": c.addr_width,
        "addresses": out_addr_width(c),
        "completions": c.count_width,
        "held": float(c.prefetch),
        "pipelined": fast,
        "gathered": c.bus_width * (8 * rows < c.bus_width),
        "cut": 8 * rows * (8 * rows > c.bus_width),
        "parameters": (c.burst_beats - 1).bit_length(),
    }


def _control(e: _Engine) -> _Terms:
    c, fast = e.c, e.fast
    return {
        "one": 1,
        "bus": c.bus_width,
        "memory": c.addr_width,
        "completions": c.count_width,
        "counters": float(c.counters),
        "pipelined": fast,
    }


_TERMS: dict[str, Callable[[_Engine], _Terms]] = {
    "activations": _activations,
    "weights": _weights,
    "results": _results,
    "compute": _compute,
    "requantize": _requantize,
    "partial": _partial,
    "drain": _drain,
    "feeder": _feeder,
    "sampler": _sampler,
    "queues": _queues,
    "load": _load,
    "store": _store,
    "control": _control,
}


def _columns(config: EngineConfig, name: str) -> int:
    return sum(memory.count for memory in memories(config) if memory.name == name)


def _banks(config: EngineConfig, name: str) -> float:
    """Return the bits that are chosen from several block RAMs, one behind the other."""
    bits = get_hdl_family(config.dsp).block_bits
    deepest = bits // (1 if bits > 4096 else 2)
    found = (memory for memory in memories(config) if memory.name == name)
    return sum(m.count * m.width * max(0, -(-m.depth // deepest) - 1) for m in found)


def _parts(config: EngineConfig) -> float:
    width = get_hdl_family(config.dsp).operand_width
    a, b = -(-config.acc_width // width), -(-config.multiplier_width // width)
    return (a * b - 1) * (config.acc_width + config.multiplier_width)


def _choice(config: EngineConfig) -> float:
    """Return the look-up tables that choose one of ``cols`` bits."""
    cells = get_family("ecp5" if config.dsp == "inferred" else config.dsp).cells
    joined = cells is not None and cells.distributed is not None
    return (1 << (config.cols - 1).bit_length()) / 2 if joined else 2 * (config.cols - 1) / 3
