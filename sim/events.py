"""When the commands of a run start and end.

A longest path: a command starts when its unit is free and all is there that it waits for
(:mod:`tilewright.sim.waits`); what it takes from there is exact (:mod:`tilewright.sim.timing`). No
value of any pixel matters, so a cycle count needs none. Whoever wants values runs them along the
events, which come in an order in which every command finds what it needs
(:mod:`tilewright.sim.effects`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.hdl.commands.decode import WAIT_LATENCY
from tilewright.hdl.commands.queue import CommandQueue
from tilewright.hdl.load.unit import LoadUnit
from tilewright.isa import (
    Command,
    Compute,
    DecodeError,
    Deform,
    End,
    EngineConfig,
    Fetch,
    LoadKernels,
    LoadKernelSteps,
    LoadTable,
    LoadWeights,
    Store,
    Unit,
    decode,
)
from tilewright.isa.registers import Status
from tilewright.isa.rules import MAX_COMMANDS, RuleError, check_command
from tilewright.sim.errors import ExecutionError
from tilewright.sim.flights import Flights
from tilewright.sim.timing.compute import ComputeTiming, compute_timing, deform_timing
from tilewright.sim.timing.load import bootstrap_commit, load_timing
from tilewright.sim.timing.memory import Memory
from tilewright.sim.timing.memory.sdram import SDRAM
from tilewright.sim.timing.store import store_cycles
from tilewright.sim.waits import Waits, complete, stalls


@dataclass(frozen=True)
class Unreadable:
    """What is no command where one should be: it is refused when its turn comes.

    What it would wait for stands at the same place in all commands of a unit.
    """

    message: str
    wait_load: int = 0
    wait_compute: int = 0
    wait_store: int = 0

    @classmethod
    def of(cls, unit: Unit, data: bytes, error: DecodeError) -> Unreadable:
        """Return what some bytes are that are no command of a unit."""
        word = int.from_bytes(data, "little")
        first, second = (word >> place & 0xFFFF for place in (20, 36))
        if unit is Unit.LOAD:
            return cls(str(error), wait_compute=first, wait_store=second)
        if unit is Unit.STORE:
            return cls(str(error), wait_load=first, wait_compute=second)
        return cls(str(error))  # compute commands are judged before they wait


Fetched = Command | Unreadable
"""What a Fetch may find."""

Reader = Callable[[Fetch], Sequence[Fetched]]
"""Returns the commands that a Fetch reads."""

#: Cycles from the start of a load or store command, and from the moment in which a compute command
#: has left its queue and those before it are done, until a refusal ends the run.
REFUSAL, COMPUTE_REFUSAL = 3, 1

_WEIGHTS = (LoadWeights, LoadTable, LoadKernelSteps, LoadKernels)
_WAIT_FIELDS = {unit: f"wait_{unit.name.lower()}" for unit in Unit}


class Event(NamedTuple):
    """One command's run; cycles count from the first of the run.

    A tuple, since there are many: the compiler goes through the events of whole programs.

    Parameters
    ----------
    start, done : int
    free : int, the first cycle in which the unit can start the next command
    idle : int, the first cycle in which the unit could have started this one
    waits : Waits, for what it did not
    steps : int, cycles in which the array multiplies
    """

    command: Command
    start: int
    done: int
    free: int
    idle: int
    waits: Waits
    steps: int = 0

    @property
    def stalls(self) -> Mapping[str, int]:
        """Cycles that the free unit waited, by cause."""
        return stalls(self.waits, self.idle, self.start)


def memory_reader(config: EngineConfig, memory: NDArray[np.uint8]) -> Reader:
    """Return what reads commands from memory as it is at that moment.

    The reader raises :class:`ExecutionError` for commands beyond the memory's end, which the bus
    answers with an error.
    """

    def decoded(unit: Unit, data: bytes) -> Fetched:
        try:
            return decode(unit, data, spare=not config.prefetch)
        except DecodeError as error:
            return Unreadable.of(unit, data, error)

    def read(fetch: Fetch) -> list[Fetched]:
        unit = Unit(fetch.unit)
        size = config.command_bytes(unit)
        end = fetch.address + fetch.count * size
        if end > memory.size:
            raise ExecutionError(
                f"it reaches byte {end - 1} of a memory of {memory.size}", Status.READ_ERROR
            )
        data = memory[fetch.address : end].tobytes()
        return [decoded(unit, data[at : at + size]) for at in range(0, len(data), size)]

    return read


@dataclass
class _UnitState:
    """Where a unit stands: commands fetched but not run, and when it can take the next."""

    queue: deque[tuple[Fetched, int]] = field(default_factory=deque)  # with the cycle of its commit
    popped: int = -1  # cycle in which the last command left the queue
    free: int = 0
    events: list[Event] = field(default_factory=list)
    judged: bool = False  # the next command has been, with this verdict
    refused: ExecutionError | None = None
    halted: bool = False  # by a refusal, its own or another unit's


class Events:
    """The events of one run; iterate over it once.

    Parameters
    ----------
    config : EngineConfig
    timing : Memory or SDRAM, behind the bus
    read : what a Fetch reads. It is called when the Fetch runs, after the events before it have
        been given out: what is done with them may change what it reads.
    boot : Fetch, of the first load commands

    Raises
    ------
    ExecutionError
        While iterating: if a command is refused (:mod:`tilewright.isa.rules`), a queue overflows,
        or the program waits for itself or has no end. The first refusal in time counts.
    """

    def __init__(
        self, config: EngineConfig, timing: Memory | SDRAM, read: Reader, boot: Fetch
    ) -> None:
        self.config = config
        self.timing = timing
        self.units = {unit: _UnitState() for unit in Unit}
        self.finished: int | None = None
        self._read = read
        self._boot = boot
        self._refusal: tuple[int, ExecutionError] | None = None  # the first, with its cycle
        # Where the memory's answers depend on both units: commands that are not done yet.
        self.flights = Flights(config, timing) if isinstance(timing, SDRAM) else None
        self._memory = None if isinstance(timing, SDRAM) else timing
        self._flying: dict[Unit, tuple[Command, int, Waits]] = {}
        self._drained = 0  # when the last compute command so far is done
        self._deform: Deform | None = None  # of the next compute command
        self._refill = {
            unit: config.command_bytes(unit) // config.bus_bytes + CommandQueue.refill(config)
            for unit in Unit
        }

    @property
    def by_unit(self) -> dict[Unit, Sequence[Event]]:
        """The events so far, in the order of the units' commands."""
        return {unit: state.events for unit, state in self.units.items()}

    @property
    def cycles(self) -> int:
        """Cycles of the whole run, which must be over."""
        assert self.finished is not None
        return self.finished + 1

    def complete(self) -> Events:
        """Go through all events, for their cycles alone."""
        for _ in self:
            pass
        return self

    def __iter__(self) -> Iterator[Event]:
        try:
            check_command(self.config, self._boot)
            self._bootstrap()
        except RuleError as error:
            raise ExecutionError(f"the first fetch: {error}", error.status, index=0) from error
        except ExecutionError as error:
            raise error.at(Unit.LOAD, 0) from error
        count = 0
        while self.finished is None:
            before = count
            for unit in Unit:
                event = self._next(unit)
                if event is not None:
                    count += 1
                    yield event
            # Nothing else starts before one of these is done.
            if count == before and self.flights:
                count += 1
                yield self._land()
            if count == before and self._refusal is not None:
                raise self._refusal[1]
            if count == before or count > MAX_COMMANDS:
                raise self._endless(ends=count > before)

    def _endless(self, *, ends: bool) -> ExecutionError:
        """Return what is wrong with a program that has no end."""
        if ends:
            message = f"the program has more than {MAX_COMMANDS} commands"
        else:
            waiting = {
                unit.name.lower(): state.queue[0][0] if state.queue else "no command"
                for unit, state in self.units.items()
            }
            message = f"the program waits for itself: {waiting}"
        index = len(self.units[Unit.LOAD].events)
        return ExecutionError(message, Status.WATCHDOG, Unit.LOAD, index)

    def _next(self, unit: Unit) -> Event | None:
        """Run a unit's next command, if nothing keeps it from that."""
        state = self.units[unit]
        if self.flights is not None and unit in self.flights:
            return None
        if not state.queue or state.halted or (unit is Unit.LOAD and self.finished is not None):
            return None
        command, commit = state.queue[0]
        waits = Waits(queue=max(state.popped, commit) + self._refill[unit] + WAIT_LATENCY)
        if not state.judged:
            state.judged, state.refused = True, self._judge(unit, command)
        refused = state.refused
        if refused is None or unit is not Unit.COMPUTE:
            complete_waits = self._waits(unit, command, waits.queue)
            if complete_waits is None:
                return None
            waits = complete_waits
        start = max(state.free, waits.ready)
        if refused is not None:
            state.halted = True
            at = start + REFUSAL
            if unit is Unit.COMPUTE:  # which is not before those before it are done
                at = max(waits.queue, self._drained + 1) + COMPUTE_REFUSAL
            if self._refusal is None or at < self._refusal[0]:
                self._refusal = at, refused.at(unit, len(state.events))
            return None
        if self._refusal is not None and start >= self._refusal[0]:
            state.halted = True
            return None
        try:
            return self._run(unit, waits)
        except ExecutionError as error:
            raise error.at(unit, len(state.events)) from error

    def _judge(self, unit: Unit, command: Fetched) -> ExecutionError | None:
        """Return why a unit's next command is refused, if it is."""
        if isinstance(command, Unreadable):
            return ExecutionError(command.message)
        try:
            check_command(self.config, command, self._deform if unit is Unit.COMPUTE else None)
        except RuleError as error:
            return ExecutionError(str(error), error.status, certain=error.certain)
        return None

    def _waits(self, unit: Unit, command: Fetched, queue: int) -> Waits | None:
        """Return what a command waits for, if all of it has been run."""
        ready = dict.fromkeys(Unit, 0)
        weights = False
        for other in Unit:
            if other is unit:
                continue
            events = self.units[other].events
            named = getattr(command, _WAIT_FIELDS[other])
            needed = complete(named, len(events), self.config.count_width)
            if needed is None:
                return None
            if needed:
                last = events[needed - 1]
                ready[other] = last.done + 1 + WAIT_LATENCY
                weights = weights or isinstance(last.command, _WEIGHTS)
        fenced = isinstance(command, Deform) or (isinstance(command, Compute) and command.fence)
        return Waits(
            queue=queue,
            loads=ready[Unit.LOAD],
            computes=ready[Unit.COMPUTE],
            stores=ready[Unit.STORE],
            fence=self._drained + 1 + WAIT_LATENCY if fenced else 0,
            weights=weights,
        )

    def _bootstrap(self) -> None:
        """Fetch the first commands."""
        if self.flights is None:
            self._fetch(self._boot, bootstrap_commit(self.config, self._memory, self._boot))
        else:
            self.flights.start(self._boot, 0)
            _, timing = self.flights.land()
            self._fetch(self._boot, timing.commit)

    def _run(self, unit: Unit, waits: Waits) -> Event | None:
        """Run the next command of a unit; None if it takes off."""
        state = self.units[unit]
        command, _ = state.queue.popleft()
        state.judged = False
        assert isinstance(command, Command)  # others are refused
        ready = max(state.free, waits.ready)
        if (
            self.flights is not None
            and unit is not Unit.COMPUTE
            and self.flights.start(command, ready)
        ):
            self._flying[unit] = command, ready, waits
            return None
        return self._record(unit, command, waits, *self._times(unit, command, ready))

    def _land(self) -> Event:
        """End the flight that ends first."""
        assert self.flights is not None
        unit, timing = self.flights.land()
        command, start, waits = self._flying.pop(unit)
        if isinstance(command, Fetch):
            self._fetch(command, timing.commit)
        return self._record(unit, command, waits, start, timing.done, timing.done + 1, 0)

    def _record(
        self,
        unit: Unit,
        command: Command,
        waits: Waits,
        start: int,
        done: int,
        free: int,
        steps: int,
    ) -> Event:
        state = self.units[unit]
        event = Event(
            command=command,
            start=start,
            done=done,
            free=free,
            steps=steps,
            idle=state.free,
            waits=waits,
        )
        if unit is Unit.COMPUTE:
            self._drained = done
            self._deform = command if isinstance(command, Deform) else None
        elif isinstance(command, End):
            self.finished = done
        state.events.append(event)
        state.free = free
        state.popped = start if self.config.prefetch else free - 1
        return event

    def _times(self, unit: Unit, command: Command, ready: int) -> tuple[int, int, int, int]:
        """Return start, done, free and steps of a command that can start in cycle ``ready``."""
        if isinstance(command, Compute | Deform):
            timing = self._compute_timing(command)
            return ready, ready + timing.done, ready + timing.free, timing.steps
        if isinstance(command, Store):
            assert self._memory is not None
            done = ready + store_cycles(self.config, self._memory, command)
        else:
            timing_of_load = load_timing(self.config, self._memory, command)
            done = ready + timing_of_load.done
            if isinstance(command, Fetch):
                self._fetch(command, ready + timing_of_load.commit)
        return ready, done, done + 1, 0

    def _compute_timing(self, command: Compute | Deform) -> ComputeTiming:
        if isinstance(command, Deform):
            return deform_timing()
        return compute_timing(self.config, command, self._deform)

    def _fetch(self, command: Fetch, commit: int) -> None:
        unit = Unit(command.unit)
        queue = self.units[unit].queue
        if len(queue) + command.count > self.config.queue_depth:
            # Of hardware's queue, commands leave in the course of time.
            raise ExecutionError(f"the {unit.name.lower()} queue overflows", certain=False)
        queue.extend((fetched, commit) for fetched in self._read(command))


class Replay(Events):
    """The events of a run that was observed, such as one of the RTL.

    Parameters
    ----------
    starts, dones : cycles of each command, by unit and in the units' order
    """

    def __init__(
        self,
        config: EngineConfig,
        timing: Memory | SDRAM,
        read: Reader,
        boot: Fetch,
        *,
        starts: Mapping[Unit, Sequence[int]],
        dones: Mapping[Unit, Sequence[int]],
    ) -> None:
        super().__init__(config, timing, read, boot)
        self._starts, self._dones = starts, dones

    def _bootstrap(self) -> None:
        super()._bootstrap()
        self.flights = None  # what follows has been observed

    def _times(self, unit: Unit, command: Command, ready: int) -> tuple[int, int, int, int]:
        index = len(self.units[unit].events)
        start, done = self._starts[unit][index], self._dones[unit][index]
        if unit is Unit.COMPUTE:
            _, _, free, steps = super()._times(unit, command, start)
            return start, done, free, steps
        if isinstance(command, Fetch):
            self._fetch(command, done - LoadUnit.DRAIN)
        return start, done, done + 1, 0
