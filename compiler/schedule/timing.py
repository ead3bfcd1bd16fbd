"""What the compiler is told of cycles: the exact model of one engine and its memory, handed in.

The compiler knows passes (:mod:`tilewright.isa.passes`) and nothing else of time. Who calls it has
the cycle model: :class:`tilewright.sim.model.CycleModel` is one of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tilewright.isa import Command, Fetch, Unit


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """Cycles from the end of a compute command's passes on.

    Parameters
    ----------
    command : int, until the passes of the next command begin, its start included
    fence : int, until they do if that command waits for the results of the one before
    store : int, until a store of its results can start
    arrival : int, from the end of a load or a store to the start of what waits for it
    """

    command: int
    fence: int
    store: int
    arrival: int


class Timing(Protocol):
    """Cycles of an engine with its memory, to the cycle and with nothing else on the bus.

    Cycles of a load or a store are those from its start until its unit can start the next one, for
    a block that begins where a burst does.
    """

    @property
    def gaps(self) -> Gaps:
        """What lies between commands."""

    @property
    def one_port(self) -> bool:
        """Whether loads and stores share the memory's time, as behind one SDRAM."""

    @property
    def rate(self) -> float:
        """Bytes a cycle of long loads."""

    def words(self, count: int) -> int:
        """Return the cycles of a load of so many words of ``rows`` bytes."""

    def rows(self, groups: int, stride: int, height: int, width: int, pixel: int) -> int:
        """Return the cycles of a load of rows, as in ``LoadActivations``."""

    def kernels(self, channels: int, taps: int, steps: int) -> int:
        """Return the cycles of a load of kernels, as in ``LoadKernels``."""

    def results(self, groups: int, stride: int, height: int, width: int) -> int:
        """Return the cycles of a store, as in ``Store``."""

    def run(
        self, commands: Mapping[Unit, Sequence[Command]], addresses: Mapping[Unit, int], boot: Fetch
    ) -> int:
        """Return the cycles of a whole program.

        Parameters
        ----------
        commands : of each unit, in order
        addresses : bytes at which they lie
        boot : the first fetch
        """
