"""What a Fetch finds in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Command, DecodeError, EngineConfig, Fetch, Unit, decode
from tilewright.isa.registers import Status
from tilewright.sim.errors import ExecutionError


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
        bytes_ = fetch.count * size
        end = fetch.address + bytes_
        space = 1 << config.addr_width
        if min(end, space) > memory.size:
            raise ExecutionError(
                f"it reaches byte {end - 1} of a memory of {memory.size}", Status.READ_ERROR
            )
        data = memory[(fetch.address + np.arange(bytes_)) % space].tobytes()
        return [decoded(unit, data[at : at + size]) for at in range(0, len(data), size)]

    return read
