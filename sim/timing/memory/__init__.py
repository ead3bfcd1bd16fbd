"""The memory behind the bus, as the bursts of the load and the store unit meet it.

``fixed``  latencies that never change
``large``  an FPGA's own large memories: one burst at a time
``sdram``  a chip behind the project's own controller

A unit asks for one burst at a time and goes on when it knows the answer
(:func:`tilewright.sim.timing.load.load_bursts`). With fixed latencies the answer is a cycle, at
once. Of a :class:`SharedMemory` it is a :class:`Served` or a :class:`Room`, and may depend on
everything that was asked before: which row of a bank is open, when the next refresh is due, what
the other unit does (:mod:`tilewright.sim.flights`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from tilewright.isa import EngineConfig
from tilewright.sim.timing.memory.fixed import MemoryTiming

__all__ = [
    "Answer",
    "Burst",
    "Memory",
    "MemoryRun",
    "MemoryTiming",
    "Room",
    "Served",
    "SharedMemory",
    "settle",
]

Result = TypeVar("Result")


class Burst(NamedTuple):
    """One burst of a unit, which wants to know when it is served.

    Parameters
    ----------
    address : int, bytes from the base register on
    beats : int, of ``bus_bytes`` each
    write : bool
    cycle : int
        Counted from the command's start: in which the address is accepted, of a read; in which the
        last beat is, of a write. Not with fixed latencies: from which on the address is shown.
    """

    address: int
    beats: int
    write: bool
    cycle: int


@dataclass
class Served:
    """A read burst, as a memory answers it.

    Parameters
    ----------
    accepted : int, cycle in which the address was taken
    beats : cycles from which on each beat can be taken
    apart : int, cycles from a beat that is taken to the next one, at least
    taken : cycles in which the unit takes them, which it says
    """

    accepted: int
    beats: Sequence[int]
    apart: int = 1
    taken: Sequence[int] = ()


class Room(NamedTuple):
    """A write burst whose address was taken: cycles from which on each beat can be given.

    The unit then says when it gives them, and is told when the burst is confirmed.
    """

    accepted: int
    beats: Sequence[int]


class Memory(Protocol):
    """A model of a memory that answers a burst without regard to those of other commands.

    The other kind answers in a run: :class:`SharedMemory`.
    """

    def __hash__(self) -> int:
        """Return the same for models that answer alike, if they are ``fixed``."""

    @property
    def fixed(self) -> bool:
        """Whether an answer depends on nothing but its burst's cycle, by a constant distance."""

    def served(self, burst: Burst) -> int:
        """Return when a burst is served, in the cycles in which the burst counts; if ``fixed``.

        Of a read, the cycle from which on its first beat can be taken; the others follow as fast
        as they are taken. Of a write, the cycle of its confirmation. A confirmation, or a first
        beat, that would come before one that the same unit still waits for follows that one: the
        unit sees to it.
        """


class Answer(NamedTuple):
    """What a memory says of a burst, in cycles of the run.

    Parameters
    ----------
    write : bool
    accepted : int, in which the address was taken
    beats : sequence of int
        From which on each beat can be taken, of a read; in which the burst is confirmed, of a
        write.
    apart : int, from a beat that is taken to the next one, at least, of a read
    """

    write: bool
    accepted: int
    beats: Sequence[int]
    apart: int = 1


class MemoryRun(Protocol):
    """A memory in one run, from the run's first cycle on.

    Each direction has at most one burst that has not been chosen.

    Attributes
    ----------
    activations : int, so far: rows of a chip that were opened; 0 where there are none
    """

    activations: int

    def read(self, cycle: int, address: int, beats: int) -> None:
        """Show a read's address from ``cycle`` on; the read before has been answered."""

    def taken(self, cycles: Sequence[int]) -> None:
        """Say when the answered read's beats are taken."""

    def write(self, cycle: int, address: int, beats: int) -> Room | None:
        """Show a write's address from ``cycle`` on; the write before has been answered.

        Returns the room for its beats, or None: a step says it.
        """

    def given(self, cycles: Sequence[int]) -> None:
        """Say when the beats of a write that has room are given."""

    def step(self) -> Answer | Room | None:
        """Choose a burst and answer it, or give a write room; None if there is none."""


@runtime_checkable
class SharedMemory(Protocol):
    """A model of a memory whose answer to a unit depends on what both have asked for."""

    def run(self, config: EngineConfig) -> MemoryRun:
        """Return what answers an engine's bursts in one run.

        Raises
        ------
        Error
            If the memory does not fit the engine's bus.
        """


def settle(bursts: Generator[Burst, int, Result], memory: Memory) -> Result:
    """Return what a command's bursts come to with nothing else on the bus."""
    answer: Callable[[Burst], int] = memory.served
    try:
        burst = next(bursts)
        while True:
            burst = bursts.send(answer(burst))
    except StopIteration as end:
        result: Result = end.value
        return result
