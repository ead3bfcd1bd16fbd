"""The memory behind the bus, as the bursts of the load and the store unit meet it.

``fixed``  latencies that never change
``sdram``  a chip behind the project's own controller

A unit asks for one burst at a time and goes on when it knows the answer
(:func:`tilewright.sim.timing.load.load_bursts`). With fixed latencies the answer is a cycle, at
once. Of another memory it is a :class:`Served` or a :class:`Room`, and may depend on everything
that was asked before: which row of a bank is open, when the next refresh is due, what the other
unit does (:mod:`tilewright.sim.flights`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from tilewright.sim.timing.memory.fixed import MemoryTiming

__all__ = ["Burst", "Memory", "MemoryTiming", "Room", "Served", "settle"]

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
    taken : cycles in which the unit takes them, which it says
    """

    accepted: int
    beats: Sequence[int]
    taken: Sequence[int] = ()


class Room(NamedTuple):
    """A write burst whose address was taken: cycles from which on each beat can be given.

    The unit then says when it gives them, and is told when the burst is confirmed.
    """

    accepted: int
    beats: Sequence[int]


class Memory(Protocol):
    """A model of a memory that answers a burst without regard to those of other commands.

    The other kind, an SDRAM, answers in a run: :class:`~tilewright.sim.timing.memory.sdram.SDRAM`.
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
