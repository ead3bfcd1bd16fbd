"""Load and store commands in flight, where the memory's answers depend on both units.

A memory of fixed latencies answers a command at once. A shared one (:mod:`.timing.memory`) is asked
burst by burst, by both units in turn: the memory's next choice tells which of them goes on.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeAlias

from tilewright.isa import Command, EngineConfig, Store, Unit
from tilewright.sim.timing.load import LoadTiming, load_bursts
from tilewright.sim.timing.memory import Burst, Room, Served, SharedMemory
from tilewright.sim.timing.store import store_bursts

__all__ = ["Flights"]


_Load: TypeAlias = Generator[Burst, int | Served, LoadTiming]
_Store: TypeAlias = Generator[Burst | Sequence[int], Room | int, int]


class Flights:
    """At most one command of the load unit and one of the store unit.

    Parameters
    ----------
    config : EngineConfig
    memory : SharedMemory

    Attributes
    ----------
    activations : by unit, the rows of the chip that each of its commands opened, in their order;
        commands without bursts are left out
    """

    def __init__(self, config: EngineConfig, memory: SharedMemory) -> None:
        self._config = config
        self._memory = memory.run(config)
        self.activations: dict[Unit, list[int]] = {Unit.LOAD: [], Unit.STORE: []}
        self._opened = dict.fromkeys(self.activations, 0)  # by the commands in flight
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
            self._store = store_bursts(self._config, command, cycle)
            self._give(next(self._store))
            return True
        self._load = load_bursts(self._config, command, cycle)
        if self._load is None:
            return False
        self._ask(next(self._load))
        return True

    def land(self) -> tuple[Unit, LoadTiming]:
        """Let the memory answer until a command is done, and return its unit and timing.

        The timing's cycles are those of the run; a store has only ``done``.
        """
        while True:
            before = self._memory.activations
            answer = self._memory.step()
            assert answer is not None
            if isinstance(answer, Room):
                self._fill(answer)
                continue
            unit = Unit.STORE if answer.write else Unit.LOAD
            self._opened[unit] += self._memory.activations - before
            if answer.write:
                assert self._store is not None
                try:
                    self._give(self._store.send(answer.beats[0]))
                except StopIteration as end:
                    self._store = None
                    self._landed(unit)
                    return Unit.STORE, LoadTiming(end.value, end.value)
            else:
                assert self._load is not None
                served = Served(answer.accepted, answer.beats, answer.apart)
                try:
                    burst = self._load.send(served)
                except StopIteration as end:
                    self._memory.taken(served.taken)
                    self._load = None
                    self._landed(unit)
                    timing: LoadTiming = end.value
                    return Unit.LOAD, timing
                self._memory.taken(served.taken)
                self._ask(burst)

    def _landed(self, unit: Unit) -> None:
        self.activations[unit].append(self._opened[unit])
        self._opened[unit] = 0

    def _ask(self, burst: Burst) -> None:
        self._memory.read(burst.cycle, burst.address, burst.beats)

    def _give(self, burst: Burst | Sequence[int]) -> None:
        assert isinstance(burst, Burst)
        room = self._memory.write(burst.cycle, burst.address, burst.beats)
        if room is not None:
            self._fill(room)

    def _fill(self, room: Room) -> None:
        """Give the store unit's burst its beats, where there is room for them."""
        assert self._store is not None
        given = self._store.send(room)
        assert not isinstance(given, Burst)
        self._memory.given(given)
