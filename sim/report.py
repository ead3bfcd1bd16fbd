"""What a run did, layer by layer, from the cycles of its commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tilewright.isa import (
    Command,
    EngineConfig,
    Store,
    Unit,
)
from tilewright.isa.layout import moved_bytes
from tilewright.sim.events import Event
from tilewright.sim.waits import STALL_CAUSES


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
    moved = moved_bytes(config, command)
    return (0, moved) if isinstance(command, Store) else (moved, 0)


def layer_stats(
    config: EngineConfig, layers: int, events: Mapping[Unit, Sequence[Event]]
) -> list[LayerStats]:
    """Return the statistics of each layer of a complete run."""
    if not layers:
        return []
    steps, cycles = [0] * layers, [0] * layers
    read, written = [0] * layers, [0] * layers
    stalls = [dict.fromkeys(STALL_CAUSES, 0) for _ in range(layers)]
    for stream in events.values():
        for event in stream:
            more_read, more_written = bytes_moved(config, event.command)
            read[event.command.layer] += more_read
            written[event.command.layer] += more_written
    now = 0
    for event in events[Unit.COMPUTE]:
        layer = event.command.layer
        steps[layer] += event.steps
        for cause, count in event.stalls.items():
            stalls[layer][cause] += count
        cycles[layer] += event.free - now
        now = event.free
    end = events[Unit.LOAD][-1].done + 1
    if events[Unit.COMPUTE]:  # else nothing is computed: outputs are inputs
        cycles[events[Unit.COMPUTE][-1].command.layer] += end - now
    return [
        LayerStats(cycles[layer], steps[layer], stalls[layer], read[layer], written[layer])
        for layer in range(layers)
    ]
