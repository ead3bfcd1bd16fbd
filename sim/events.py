"""When the commands of a run start and end.

A longest path: a command starts when its unit is free and all is there that it waits for
(:mod:`tilewright.sim.waits`); what it takes from there is exact (:mod:`tilewright.sim.timing`). No
value of any pixel matters, so a cycle count needs none. Whoever wants values runs them along the
events, which come in an order in which every command finds what it needs
(:mod:`tilewright.sim.effects`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tilewright.hdl.commands.decode import WAIT_LATENCY
from tilewright.hdl.commands.queue import CommandQueue
from tilewright.hdl.load.unit import LoadUnit
from tilewright.isa import (
    Command,
    Compute,
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
)
from tilewright.isa.passes import overruns
from tilewright.isa.registers import Status
from tilewright.isa.rules import MAX_COMMANDS, RuleError, check_command
from tilewright.sim.errors import Endless, ExecutionError
from tilewright.sim.fetched import Fetched, Reader, Unreadable
from tilewright.sim.flights import Flights
from tilewright.sim.queues import Rounds, UnitState
from tilewright.sim.timing.compute import ComputeTiming, compute_timing, deform_timing
from tilewright.sim.timing.load import bootstrap_commit, fetch_beats, load_timing
from tilewright.sim.timing.memory import Memory, SharedMemory
from tilewright.sim.timing.store import store_cycles
from tilewright.sim.waits import Waits, complete, stalls

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


class Events:
    """The events of one run; iterate over it once.

    Parameters
    ----------
    config : EngineConfig
    timing : Memory or SharedMemory, behind the bus
    read : what a Fetch reads. It is called when the Fetch runs, after the events before it have
        been given out: what is done with them may change what it reads.
    boot : Fetch, of the first load commands
    strict : also refuse commands that make no sense, though hardware takes them

    Raises
    ------
    ExecutionError
        While iterating: if a command is refused (:mod:`tilewright.isa.rules`), a queue overflows,
        or the program waits for itself or has no end. The first refusal in time counts.
    """

    def __init__(
        self,
        config: EngineConfig,
        timing: Memory | SharedMemory,
        read: Reader,
        boot: Fetch,
        *,
        strict: bool = False,
    ) -> None:
        self.config, self.strict = config, strict
        self.timing = timing
        self.units = {unit: UnitState() for unit in Unit}
        self.finished: int | None = None
        self._read = read
        self._boot = boot
        self._refusal: tuple[int, ExecutionError] | None = None  # the first, with its cycle
        # Where the memory's answers depend on both units: commands that are not done yet.
        self.flights = Flights(config, timing) if isinstance(timing, SharedMemory) else None
        self._memory = None if isinstance(timing, SharedMemory) else timing
        self._flying: dict[Unit, tuple[Command, int, Waits]] = {}
        self._drained = 0  # when the last compute command so far is done
        self._deform: Deform | None = None  # of the next compute command
        self._rounds = Rounds()
        self._pressing = False  # a Fetch runs though its queue may be full: nothing else does
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
            if count == before and not self._pressing:
                self._pressing = True
                continue
            self._pressing = False
            if count == before and self._refusal is not None:
                raise self._refusal[1]
            if count == before or count > MAX_COMMANDS:
                raise self._endless(ends=count > before)
        if self._refusal is not None and self._refusal[0] < self.finished:
            raise self._refusal[1]

    def _endless(self, *, ends: bool) -> ExecutionError:
        """Return what is wrong with a program that has no end."""
        index = len(self.units[Unit.LOAD].events)
        if ends:
            message = f"the program has more than {MAX_COMMANDS} commands"
            return Endless(message, Status.WATCHDOG, Unit.LOAD, index)
        waiting = {
            unit.name.lower(): state.queue[0][0] if state.queue else "no command"
            for unit, state in self.units.items()
        }
        message = f"the program waits for itself: {waiting}"
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
        if not self._pressing and self._crowded(command, start):
            return None
        try:
            return self._run(unit, waits)
        except ExecutionError as error:
            raise error.at(unit, len(state.events)) from error

    def _judge(self, unit: Unit, command: Fetched) -> ExecutionError | None:
        """Return why a unit's next command is refused, if it is."""
        if isinstance(command, Unreadable):
            return ExecutionError(command.message)
        deform = self._deform if unit is Unit.COMPUTE else None
        try:
            check_command(self.config, command, deform, strict=self.strict)
        except RuleError as error:
            return ExecutionError(str(error), error.status)
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
            self._fetch(self._boot, 0, bootstrap_commit(self.config, self._memory, self._boot))
        else:
            self.flights.start(self._boot, 0)
            _, timing = self.flights.land()
            self._fetch(self._boot, 0, timing.commit)

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
            self._fetch(command, start, timing.commit)
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
        state.left.append(start if self.config.prefetch else free - 1)
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
                self._fetch(command, ready, ready + timing_of_load.commit)
        return ready, done, done + 1, 0

    def _compute_timing(self, command: Compute | Deform) -> ComputeTiming:
        if isinstance(command, Deform):
            return deform_timing()
        if self._deform is not None and overruns(self.config, command, self._deform.last_parts):
            raise ExecutionError("the last word of a row comes before the one before it is over")
        return compute_timing(self.config, command, self._deform)

    def _fetch(self, command: Fetch, start: int, commit: int) -> None:
        unit = Unit(command.unit)
        state = self.units[unit]
        if self.strict or self._memory is None:  # whenever others leave it
            over = len(state.queue) + command.count > self.config.queue_depth
        else:
            over = self._crowded(command, start) and self._over(command, start, self._memory)
        if over:
            raise ExecutionError(f"the {unit.name.lower()} queue overflows")
        state.add(self._read(command), commit)
        if self._rounds.endless(command, self.units.values()):
            raise Endless("the program goes round in a circle", Status.WATCHDOG)

    def _crowded(self, command: Fetched, start: int) -> bool:
        """Return whether a queue may have no room for what a command fetches from a cycle on."""
        if not isinstance(command, Fetch) or self._memory is None:
            return False
        each = self.config.command_bytes(Unit(command.unit)) // self.config.bus_bytes
        waiting = self.units[Unit(command.unit)].words(start, each)
        return waiting + command.count * each > self.config.queue_depth * each

    def _over(self, command: Fetch, start: int, memory: Memory) -> bool:
        """Return whether it has none when one of the beats comes."""
        each = self.config.command_bytes(Unit(command.unit)) // self.config.bus_bytes
        room, state = self.config.queue_depth * each, self.units[Unit(command.unit)]
        beats = fetch_beats(self.config, memory, command)
        return any(state.words(start + cycle, each) + n >= room for n, cycle in enumerate(beats))


class Replay(Events):
    """The events of a run that was observed, such as one of the RTL.

    Parameters
    ----------
    starts, dones : cycles of each command, by unit and in the units' order
    """

    def __init__(
        self,
        config: EngineConfig,
        timing: Memory | SharedMemory,
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
            self._fetch(command, start, done - LoadUnit.DRAIN)
        return start, done, done + 1, 0
