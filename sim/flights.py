"""Load and store commands in flight, where the memory's answers depend on both units.

A memory of fixed latencies answers a command at once. Another one (:mod:`.timing.memory.sdram`) is
asked burst by burst, by both units in turn: the memory's next choice tells which of them goes on.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from tilewright.isa import Command, EngineConfig, Store, Unit
from tilewright.sim.timing.load import LoadTiming, load_bursts
from tilewright.sim.timing.memory import Burst, Room, Served
from tilewright.sim.timing.memory.sdram import SDRAM
from tilewright.sim.timing.store import store_bursts

__all__ = ["Flights"]


@dataclass
class _Load:
    start: int
    bursts: Generator[Burst, int | Served, LoadTiming]


@dataclass
class _Store:
    start: int
    bursts: Generator[Burst | list[int], Room | int, int]


class Flights:
    """At most one command of the load unit and one of the store unit.

    Parameters
    ----------
    config : EngineConfig
    memory : SDRAM
    """

    def __init__(self, config: EngineConfig, memory: SDRAM) -> None:
        self._config = config
        self._memory = memory.run(config)
        self._load: _Load | None = None
        self._store: _Store | None = None

    def __contains__(self, unit: Unit) -> bool:
        flights = {Unit.LOAD: self._load, Unit.STORE: self._store}
        return flights.get(unit) is not None

    def __bool__(self) -> bool:
        return self._load is not None or self._store is not None

    def start(self, command: Command, cycle: int) -> bool:
        """Start a command; return whether it has any bursts, and so is in flight."""
        if isinstance(command, Store):
            self._store = _Store(cycle, store_bursts(self._config, command))
            self._give(self._store, next(self._store.bursts))
            return True
        bursts = load_bursts(self._config, command)
        if bursts is None:
            return False
        self._load = _Load(cycle, bursts)
        self._ask(self._load, next(bursts))
        return True

    def land(self) -> tuple[Unit, LoadTiming]:
        """Let the memory answer until a command is done, and return its unit and timing.

        The timing's cycles are those of the run; a store has only ``done``.
        """
        while True:
            answer = self._memory.step()
            assert answer is not None
            if answer.write:
                assert self._store is not None
                start = self._store.start
                try:
                    self._give(self._store, self._store.bursts.send(answer.beats[0] - start))
                except StopIteration as end:
                    self._store = None
                    return Unit.STORE, LoadTiming(start + end.value, start + end.value)
            else:
                assert self._load is not None
                start = self._load.start
                served = Served(answer.accepted - start, [c - start for c in answer.beats])
                try:
                    burst = self._load.bursts.send(served)
                except StopIteration as end:
                    self._memory.taken([c + start for c in served.taken])
                    self._load = None
                    timing: LoadTiming = end.value
                    return Unit.LOAD, LoadTiming(start + timing.done, start + timing.commit)
                self._memory.taken([c + start for c in served.taken])
                self._ask(self._load, burst)

    def _ask(self, load: _Load, burst: Burst) -> None:
        self._memory.read(load.start + burst.cycle, burst.address, burst.beats)

    def _give(self, store: _Store, burst: Burst | list[int]) -> None:
        assert isinstance(burst, Burst)
        start = store.start
        accepted, room = self._memory.write(start + burst.cycle, burst.address, burst.beats)
        given = store.bursts.send(Room(accepted - start, [c - start for c in room]))
        assert isinstance(given, list)
        self._memory.given([c + start for c in given])
