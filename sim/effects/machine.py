"""The functional executor: values along the events of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Command, Compute, Deform, EngineConfig, Fetch, Store, Unit
from tilewright.isa.layout import reach
from tilewright.isa.registers import Status
from tilewright.isa.rules import TO_MEMORY
from tilewright.sim.effects.buffers import Buffers
from tilewright.sim.effects.compute import run_compute
from tilewright.sim.effects.loads import run_load
from tilewright.sim.effects.stores import run_store
from tilewright.sim.errors import ExecutionError
from tilewright.sim.events import Event, Events, memory_reader
from tilewright.sim.timing.memory import Memory
from tilewright.sim.timing.memory.sdram import SDRAM


class Machine:
    """An engine and the memory behind its bus.

    Parameters
    ----------
    config : EngineConfig
    memory : uint8 array, from the base register on; changed in place
    timing : Memory or SDRAM

    Raises
    ------
    ExecutionError
        From :meth:`run`, with status and place: the engine refuses a command, the program has no
        end, or a command leaves the memory or finds in a buffer what it cannot use.
    """

    def __init__(
        self, config: EngineConfig, memory: NDArray[np.uint8], timing: Memory | SDRAM
    ) -> None:
        self.config = config
        self.memory = memory
        self.timing = timing
        self.buffers = Buffers.of(config)
        self.finished: int | None = None
        self.events: Mapping[Unit, Sequence[Event]] = {}
        self._deform: Deform | None = None  # of the next compute command

    def run(
        self, program: int, count: int, progress: Callable[[int], None] | None = None
    ) -> Mapping[Unit, Sequence[Event]]:
        """Run a program whose first ``count`` load commands lie at byte ``program``."""
        boot = Fetch(address=program, unit=Unit.LOAD, count=count)
        events = Events(self.config, self.timing, memory_reader(self.config, self.memory), boot)
        self.events = events.by_unit
        for number, event in enumerate(events, 1):
            command = event.command
            try:
                self._execute(command)
            except ExecutionError as error:
                index = len(events.by_unit[command.UNIT]) - 1
                if error.status is Status.BAD_COMMAND:  # hardware looks into no buffer
                    error.certain = False
                raise error.at(command.UNIT, index) from error
            if progress is not None and number % 64 == 0:
                progress(number)
        self.finished = events.finished
        return events.by_unit

    def _execute(self, command: Command) -> None:
        if isinstance(command, TO_MEMORY):
            end = command.address + reach(self.config, command)
            if end > self.memory.size:
                store = isinstance(command, Store)
                raise ExecutionError(
                    f"it reaches byte {end - 1} of a memory of {self.memory.size}",
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
