"""The functional executor: values along the events of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Command, Compute, Deform, EngineConfig, Fetch, Store, Unit
from tilewright.isa.registers import Status
from tilewright.isa.rules import TO_MEMORY
from tilewright.sim.effects.buffers import Buffers
from tilewright.sim.effects.compute import run_compute
from tilewright.sim.effects.loads import run_load
from tilewright.sim.effects.memory import outside
from tilewright.sim.effects.stores import run_store
from tilewright.sim.errors import ExecutionError
from tilewright.sim.events import Event, Events
from tilewright.sim.fetched import memory_reader
from tilewright.sim.timing.memory import Memory, SharedMemory


class Machine:
    """An engine and the memory behind its bus.

    Parameters
    ----------
    config : EngineConfig
    memory : uint8 array, from the base register on; changed in place
    timing : Memory or SharedMemory
    strict : also refuse commands and contents of buffers that make no sense, though hardware takes
        them (:mod:`tilewright.isa.rules`); else do what it does

    Raises
    ------
    ExecutionError
        From :meth:`run`, with status and place: the engine refuses a command, the program has no
        end, or a command leaves the memory.
    """

    def __init__(
        self,
        config: EngineConfig,
        memory: NDArray[np.uint8],
        timing: Memory | SharedMemory,
        *,
        strict: bool = False,
    ) -> None:
        self.config, self.strict = config, strict
        self.memory = memory
        self.timing = timing
        self.buffers = Buffers.of(config, strict=strict)
        self.finished: int | None = None
        self.events: Mapping[Unit, Sequence[Event]] = {}
        self._deform: Deform | None = None  # of the next compute command

    def run(
        self, program: int, count: int, progress: Callable[[int], None] | None = None
    ) -> Mapping[Unit, Sequence[Event]]:
        """Run a program whose first ``count`` load commands lie at byte ``program``."""
        boot = Fetch(address=program, unit=Unit.LOAD, count=count)
        read = memory_reader(self.config, self.memory)
        events = Events(self.config, self.timing, read, boot, strict=self.strict)
        self.events = events.by_unit
        for number, event in enumerate(events, 1):
            command = event.command
            try:
                self._execute(command)
            except ExecutionError as error:
                index = len(events.by_unit[command.UNIT]) - 1
                raise error.at(command.UNIT, index) from error
            if progress is not None and number % 64 == 0:
                progress(number)
        self.finished = events.finished
        return events.by_unit

    def _execute(self, command: Command) -> None:
        if isinstance(command, TO_MEMORY):
            place = outside(self.config, command, self.memory.size)
            if place is not None:
                store = isinstance(command, Store)
                raise ExecutionError(
                    f"it reaches byte {place} of a memory of {self.memory.size}",
                    Status.WRITE_ERROR if store else Status.READ_ERROR,
                )
        match command:
            case Deform():
                self._deform = command
            case Compute():
                deform, self._deform = self._deform, None
                run_compute(self.config, command, self.buffers, deform)
            case Store():
                run_store(self.config, command, self.memory, self.buffers)
            case _:
                run_load(self.config, command, self.memory, self.buffers)
