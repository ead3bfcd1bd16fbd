"""What a run did, layer by layer, from the cycles of its commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tilewright.hdl.commands.decode import WAIT_LATENCY
from tilewright.hdl.commands.queue import CommandQueue
from tilewright.hdl.load.unit import LoadUnit
from tilewright.isa import (
    Command,
    Compute,
    Deform,
    EngineConfig,
    Fetch,
    LoadActivations,
    LoadKernels,
    LoadKernelSteps,
    LoadOffsets,
    LoadTable,
    LoadWeights,
    Store,
    Unit,
)
from tilewright.isa.layout import align
from tilewright.sim.timing.compute import compute_timings

_WEIGHTS = (LoadWeights, LoadTable, LoadKernelSteps, LoadKernels)

STALL_CAUSES = ("weights", "activations", "stores", "results", "commands")


@dataclass(frozen=True)
class LayerStats:
    """A layer's share of a run.

    Parameters
    ----------
    cycles : in which the array worked for the layer or waited for its next command, so that all
        layers' cycles are the run's; the last layer has the time of the last stores too
    steps : cycles in which the array multiplied
    stalls : cycles in which the array waited, by cause; "weights" are activation tables too
    bytes_read, bytes_written : on the bus, padding and commands included
    """

    cycles: int
    steps: int
    stalls: Mapping[str, int]
    bytes_read: int
    bytes_written: int


def bytes_moved(config: EngineConfig, command: Command) -> tuple[int, int]:
    """Return the bytes that a command reads from and writes to memory."""
    match command:
        case Fetch():
            return command.count * config.command_bytes(Unit(command.unit)), 0
        case LoadWeights() | LoadTable() | LoadOffsets() | LoadKernelSteps():
            return align(command.words * config.rows, config.bus_bytes), 0
        case LoadKernels():
            return command.channels * align(command.taps * config.rows, config.bus_bytes), 0
        case LoadActivations():
            row = align(command.width * (command.pixel_bytes or config.rows), config.bus_bytes)
            return command.groups * command.height * row, 0
        case Store():
            row = align(command.width * config.rows, config.bus_bytes)
            return 0, command.groups * command.height * row
    return 0, 0


def compute_stalls(
    config: EngineConfig,
    commands: Mapping[Unit, Sequence[Command]],
    starts: Mapping[Unit, Sequence[int]],
    dones: Mapping[Unit, Sequence[int]],
) -> list[dict[str, int]]:
    """Return, for each compute command, how long the free array waited for what.

    A cycle counts for the command itself until its queue presents it, then for the load it waits
    for, then for the store, then for results of commands before: as the hardware's counters do.
    """
    loads, computes = commands[Unit.LOAD], commands[Unit.COMPUTE]
    words = config.command_bytes(Unit.COMPUTE) // config.bus_bytes
    commits: list[int] = []
    for command, done in zip(loads, dones[Unit.LOAD], strict=False):
        if isinstance(command, Fetch) and command.unit == Unit.COMPUTE:
            commits += [int(done) - LoadUnit.DRAIN] * command.count
    result = []
    free, popped = 0, -1
    for index, (command, timing) in enumerate(compute_timings(config, computes)):
        assert isinstance(command, Compute | Deform)
        start = int(starts[Unit.COMPUTE][index])
        valid = max(popped, commits[index]) + words + CommandQueue.refill(config) + WAIT_LATENCY
        stalls = dict.fromkeys(STALL_CAUSES, 0)
        now = free
        stalls["commands"] = max(0, min(valid, start) - now)
        now = max(now, min(valid, start))
        if command.wait_load:
            # Counts are modulo 2**16; the last load complete by the start is the one meant.
            needed = _unwrapped(command.wait_load, loads, dones[Unit.LOAD], start)
            ready = min(int(dones[Unit.LOAD][needed - 1]) + 1 + WAIT_LATENCY, start)
            weights = isinstance(loads[needed - 1], _WEIGHTS)
            cause = "weights" if weights else "activations"
            stalls[cause] = max(0, ready - now)
            now = max(now, ready)
        if command.wait_store:
            stores, store_dones = commands[Unit.STORE], dones[Unit.STORE]
            needed = _unwrapped(command.wait_store, stores, store_dones, start)
            ready = min(int(store_dones[needed - 1]) + 1 + WAIT_LATENCY, start)
            stalls["stores"] = max(0, ready - now)
            now = max(now, ready)
        stalls["results"] = start - now
        result.append(stalls)
        free = start + timing.free
        popped = start if config.prefetch else free - 1
    return result


def _unwrapped(count: int, commands: Sequence[Command], dones: Sequence[int], start: int) -> int:
    """Return the number of completed commands that a 16-bit count stands for."""
    needed = count
    while needed + 65536 <= len(commands) and int(dones[needed + 65535]) < start:
        needed += 65536
    return needed


def layer_stats(
    config: EngineConfig,
    layers: int,
    commands: Mapping[Unit, Sequence[Command]],
    starts: Mapping[Unit, Sequence[int]],
    dones: Mapping[Unit, Sequence[int]],
) -> list[LayerStats]:
    """Return the statistics of each layer of a complete run."""
    steps, cycles = [0] * layers, [0] * layers
    read, written = [0] * layers, [0] * layers
    stalls = [dict.fromkeys(STALL_CAUSES, 0) for _ in range(layers)]
    for stream in commands.values():
        for command in stream:
            more_read, more_written = bytes_moved(config, command)
            read[command.layer] += more_read
            written[command.layer] += more_written
    computes = commands[Unit.COMPUTE]
    causes = compute_stalls(config, commands, starts, dones)
    now = 0
    timings = compute_timings(config, computes)
    for (command, timing), start, waits in zip(timings, starts[Unit.COMPUTE], causes, strict=True):
        steps[command.layer] += timing.steps
        for cause, count in waits.items():
            stalls[command.layer][cause] += count
        free = int(start) + timing.free
        cycles[command.layer] += free - now
        now = free
    end = int(dones[Unit.LOAD][-1]) + 1
    cycles[computes[-1].layer] += end - now
    return [
        LayerStats(cycles[layer], steps[layer], stalls[layer], read[layer], written[layer])
        for layer in range(layers)
    ]
