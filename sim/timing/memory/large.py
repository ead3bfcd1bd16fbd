"""An FPGA's own large memories, exact to the cycle.

The counterpart of :class:`tilewright.hdl.memory.large.LargeMemory`: one burst at a time, of two
addresses that are shown the one to write. The host's accesses cost the engine no cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.errors import Error, require_type
from tilewright.hdl.families import get_family
from tilewright.hdl.memory import large
from tilewright.isa import EngineConfig
from tilewright.sim.timing.memory import Answer, Room

__all__ = ["LargeMemory", "LargeMemoryRun"]

_NEVER = 1 << 62


@dataclass(frozen=True)
class LargeMemory:
    """All large memories of an FPGA, behind a bus of 32 bits.

    Parameters
    ----------
    dsp : str, a family that has such memories: :mod:`tilewright.hdl.families`

    Raises
    ------
    Error
        If there is no such family, or it has none.
    """

    #: What ``sim/rtl/harness/memory.h`` is told, in cycles.
    read_latency: ClassVar[int] = large.LargeMemory.READ
    write_latency: ClassVar[int] = large.LargeMemory.CONFIRM
    beat_interval: ClassVar[int] = large.LargeMemory.READ
    one_at_a_time: ClassVar[bool] = True

    dsp: str

    def __post_init__(self) -> None:
        require_type("LargeMemory", "dsp", self.dsp, str)
        if not get_family(self.dsp).large_bytes:
            raise Error(f"LargeMemory: FPGAs of {self.dsp!r} have no memory larger than block RAM")

    def run(self, config: EngineConfig) -> LargeMemoryRun:
        """See :class:`tilewright.sim.timing.memory.SharedMemory`."""
        width = large.LargeMemory.DATA_WIDTH
        if config.bus_width != width:
            raise Error(
                f"bus_width must be {width} with the large memory of {self.dsp!r}, not "
                f"{config.bus_width}"
            )
        return LargeMemoryRun()

    def beats_per_cycle(self, config: EngineConfig) -> float:
        """Return the beats that a cycle moves at most, in bursts of ``burst_beats``."""
        beats = config.burst_beats
        return beats / (1 + min(self.beat_interval * beats, beats + self.write_latency))


class LargeMemoryRun:
    """The memory in a run; see :class:`tilewright.sim.timing.memory.MemoryRun`."""

    READ = large.LargeMemory.READ
    CONFIRM = large.LargeMemory.CONFIRM

    def __init__(self) -> None:
        self.activations = 0
        self._free = 0  # from when on an address is taken
        # Bursts that are shown: from when on, and their beats.
        self._reads: tuple[int, int] | None = None
        self._writes: tuple[int, int] | None = None
        self._answer: Answer | None = None  # to the write whose beats have been given
        self._accepted = 0  # the address of the write that was given room

    def read(self, cycle: int, address: int, beats: int) -> None:
        """Show a read's address."""
        self._reads = cycle, beats

    def taken(self, cycles: Sequence[int]) -> None:
        """Say when the answered read's beats are taken."""
        self._free = cycles[-1] + 1

    def write(self, cycle: int, address: int, beats: int) -> None:
        """Show a write's address; it has room when its turn comes."""
        self._writes = cycle, beats

    def given(self, cycles: Sequence[int]) -> None:
        """Say when the beats of the write that has room are given."""
        confirmed = cycles[-1] + self.CONFIRM
        self._free = confirmed + 1
        self._answer = Answer(True, self._accepted, (confirmed,))

    def step(self) -> Answer | Room | None:
        """Confirm the write under way, or else take the next address."""
        if (answer := self._answer) is not None:
            self._answer = None
            return answer
        reads, writes = (
            _NEVER if shown is None else max(shown[0], self._free)
            for shown in (self._reads, self._writes)
        )
        if self._writes is not None and writes <= reads:
            beats = self._writes[1]
            self._writes, self._accepted = None, writes
            return Room(writes, (writes + 1,) * beats)
        if self._reads is not None:
            beats = self._reads[1]
            self._reads = None
            first = reads + self.READ
            return Answer(
                False, reads, range(first, first + self.READ * beats, self.READ), self.READ
            )
        return None
