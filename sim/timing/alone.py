"""Loads and stores by themselves, behind a memory whose answers depend on what was asked before.

Their cycles depend on few of an engine's parameters, and are remembered for all engines that have
those: a search over engines, which schedules a network for hundreds of them, asks for them again.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import lru_cache

from tilewright.isa import Command, EngineConfig, Store
from tilewright.sim.flights import Flights
from tilewright.sim.timing.load import load_work
from tilewright.sim.timing.memory import SharedMemory
from tilewright.sim.timing.store import store_work

__all__ = ["cycles_alone"]


@dataclass(frozen=True)
class _Alone:
    """What the cycles depend on, and what they are found with.

    Parameters
    ----------
    memory : SharedMemory, of which nothing was asked
    bus_width, burst_beats, outstanding : of the engine
    work : what is read or written, and how fast
    config, command : any that the others follow from
    """

    memory: SharedMemory
    bus_width: int
    burst_beats: int
    outstanding: int
    work: Hashable
    config: EngineConfig = field(compare=False)
    command: Command = field(compare=False)


def cycles_alone(config: EngineConfig, memory: SharedMemory, command: Command) -> int:
    """Return the cycles of a load or a store, with the one in which it is done."""
    work: Hashable
    if isinstance(command, Store):
        work = store_work(config, command)
    else:
        work = load_work(config, command)
    asks = config.bus_width, config.burst_beats, config.outstanding
    return _cycles(_Alone(memory, *asks, work, config, command))


@lru_cache(maxsize=1 << 16)
def _cycles(alone: _Alone) -> int:
    flights = Flights(alone.config, alone.memory)
    flights.start(alone.command, 0)
    _, timing = flights.land()
    return int(timing.done) + 1  # of a graph that was made with numpy's numbers, too
