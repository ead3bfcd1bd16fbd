"""What load commands bring into the buffers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import (
    Command,
    EngineConfig,
    LoadActivations,
    LoadKernels,
    LoadKernelSteps,
    LoadOffsets,
    LoadTable,
    LoadWeights,
)
from tilewright.isa.kernel_steps import KernelStep, unpack_kernel_steps
from tilewright.isa.layout import align, unpack_weights
from tilewright.isa.widths import folded, lane_depth
from tilewright.sim.effects.buffers import Buffers
from tilewright.sim.effects.memory import rows_of, span
from tilewright.sim.errors import ExecutionError


def run_load(
    config: EngineConfig, command: Command, memory: NDArray[np.uint8], buffers: Buffers
) -> None:
    """Execute a load command."""
    match command:
        case LoadActivations():
            _load_activations(config, command, memory, buffers)
        case LoadWeights():
            _load_weights(config, command, memory, buffers)
        case LoadKernelSteps():
            _load_kernel_steps(config, command, memory, buffers)
        case LoadKernels():
            _load_kernels(config, command, memory, buffers)
        case LoadOffsets():
            _load_offsets(config, command, memory, buffers)
        case LoadTable():
            _load_table(config, command, memory, buffers)


def _load_activations(
    config: EngineConfig, c: LoadActivations, memory: NDArray[np.uint8], buffers: Buffers
) -> None:
    rows, cols = config.rows, config.cols
    x = np.arange(c.width)
    size = c.pixel_bytes or rows
    for group in range(c.groups):
        address = c.address + group * c.group_stride
        data = rows_of(config, memory, address, height=c.height, width=c.width, pixel=size)
        pixels = np.zeros((c.height, c.width, rows), np.uint8)
        pixels[:, :, :size] = data[:, : c.width * size].reshape(c.height, c.width, size)
        row = c.base + group * c.group_step + np.arange(c.height)[:, None] * c.row_step
        addr = row + x // cols
        buffers.activations[folded(addr, lane_depth(config)), x % cols] = pixels


def _load_weights(
    config: EngineConfig, c: LoadWeights, memory: NDArray[np.uint8], buffers: Buffers
) -> None:
    data = span(config, memory, c.address, c.words * config.rows)
    if not c.wide:
        words = unpack_weights(config, data)
        first = c.base * config.weights_per_byte
    else:
        unused = 16 - config.kernel_width
        halves = data.reshape(-1, 2, config.rows).astype(np.int16)
        words = (halves[:, 0] | halves[:, 1] << 8) << unused >> unused
        first = c.base
    places = np.arange(first, first + len(words)) % config.weight_depth
    buffers.weights[places] = words


def _load_kernel_steps(
    config: EngineConfig, c: LoadKernelSteps, memory: NDArray[np.uint8], buffers: Buffers
) -> None:
    steps = unpack_kernel_steps(config, span(config, memory, c.address, c.words * config.rows))
    buffers.kernel_steps[: len(steps)] = steps


def _load_kernels(
    config: EngineConfig, c: LoadKernels, memory: NDArray[np.uint8], buffers: Buffers
) -> None:
    steps = buffers.kernel_steps[: c.steps]
    if buffers.strict:
        _check_kernels(config, c, steps)
    row_bytes = align(c.taps * config.rows, config.bus_bytes)
    data = span(config, memory, c.address, c.channels * row_bytes).reshape(c.channels, row_bytes)
    shape = c.channels, c.taps, config.rows
    own = data[:, : c.taps * config.rows].view(np.int8).reshape(shape)
    # Kernels come into two places in turns. Taps that they do not have are those of others before.
    turns = (buffers.turn + np.arange(c.channels)) % 2
    taps = buffers.kernels[turns].astype(np.int64)
    taps[:, : c.taps] = own
    for channel in range(max(0, c.channels - 2), c.channels):
        buffers.kernels[turns[channel], : c.taps] = own[channel]
    buffers.turn = int(turns[-1]) ^ 1
    total = np.zeros((c.channels, config.rows), np.int64)
    half = 1 << (config.kernel_width - 1)
    results = []
    for number, step in enumerate(steps):
        before = 0 if step.first or number == 0 else total << step.double
        total = (before + step.factor * taps[:, step.tap] + half) % (2 * half) - half
        if step.write:
            results.append(total)
    # Channel by channel: where results come to the same place, the last one remains.
    places = c.base + np.arange(c.channels)[:, None] + np.arange(len(results)) * c.term_step
    if results:
        buffers.weights[places % config.weight_depth] = np.stack(results, axis=1)


def _check_kernels(config: EngineConfig, c: LoadKernels, steps: list[KernelStep]) -> None:
    """Refuse steps that do not make sense for a kernel."""
    if not steps[0].first:
        raise ExecutionError("a kernel's transform begins with the kernel before")
    results = sum(step.write for step in steps)
    if results * c.term_step > config.weight_depth:
        raise ExecutionError("the results of a kernel's transform overwrite each other")
    for step in steps:
        if step.tap >= c.taps:
            raise ExecutionError(f"a kernel of {c.taps} taps has no tap {step.tap}")


def _load_offsets(
    config: EngineConfig, c: LoadOffsets, memory: NDArray[np.uint8], buffers: Buffers
) -> None:
    data = span(config, memory, c.address, c.words * config.rows).reshape(-1, config.rows)
    places = np.arange(c.base, c.base + c.words)
    # Of more than the buffer holds, the last remain.
    places = places[-config.offset_depth :] % config.offset_depth
    buffers.offsets[places] = data[-config.offset_depth :]


def _load_table(
    config: EngineConfig, c: LoadTable, memory: NDArray[np.uint8], buffers: Buffers
) -> None:
    data = span(config, memory, c.address, c.words * config.rows)
    places = folded(np.arange(c.base, c.base + c.words), 256 * config.tables)
    buffers.tables[places] = data[:: config.rows]
