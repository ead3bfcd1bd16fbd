"""Memory of fixed latencies.

The first beat of a burst comes ``read_latency`` cycles after its address or in the cycle after the
last beat before it, whichever is later. A write is confirmed ``write_latency`` cycles after its
last beat. ``sim/rtl/harness`` has the same memory in C++.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tilewright.errors import Error, require_type

if TYPE_CHECKING:
    from tilewright.sim.timing.memory import Burst


@dataclass(frozen=True)
class MemoryTiming:
    """Latencies of the memory, in cycles, 1..MAX_LATENCY."""

    MAX_LATENCY: ClassVar[int] = 1 << 20

    read_latency: int = 20
    write_latency: int = 5

    def __post_init__(self) -> None:
        for name in ("read_latency", "write_latency"):
            value = getattr(self, name)
            require_type("MemoryTiming", name, value, int)
            if not 1 <= value <= self.MAX_LATENCY:
                raise Error(f"MemoryTiming: {name} must be in 1..{self.MAX_LATENCY}, not {value}")

    @property
    def fixed(self) -> bool:
        """See :class:`tilewright.sim.timing.memory.Memory`."""
        return True

    def served(self, burst: Burst) -> int:
        """See :class:`tilewright.sim.timing.memory.Memory`."""
        return burst.cycle + (self.write_latency if burst.write else self.read_latency)
