"""Event counters in block RAM."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["Counters"]


class Counters(wiring.Component):
    """Count events, 32 bits each, in one small memory with one adder.

    Each event has a few flip-flops that count until its turn comes to be added to memory, which is
    a third of the logic of counters of flip-flops with a multiplexer to read them.

    Parameters
    ----------
    weights : tuple of int   what one event adds to its counter; one to 16 counters

    Members
    -------
    clear : In(1)            set all counters to 0
    events : In(len(weights))
    index : Out(4)           whose ``value`` is shown
    value : Out(32)          complete up to the cycle before the one before this

    Timing
    ------
    Every counter is shown once in ``ROUND`` cycles. Events in the cycle of ``clear`` are not
    counted.

    Raises
    ------
    ValueError  If there are no counters, or more than 16.
    """

    ROUND = 16

    def __init__(self, weights: tuple[int, ...]) -> None:
        if not 1 <= len(weights) <= self.ROUND:
            raise ValueError(f"weights must have 1..{self.ROUND} entries, not {len(weights)}")
        self._weights = tuple(weights)
        super().__init__(
            {
                "clear": In(1),
                "events": In(len(weights)),
                "index": Out(range(self.ROUND)),
                "value": Out(32),
            }
        )

    @property
    def weights(self) -> tuple[int, ...]:
        """What one event adds to its counter."""
        return self._weights

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=self.ROUND, init=[])
        read, write = memory.read_port(), memory.write_port()
        recent = [
            Signal(range(self.ROUND + 1), name=f"recent_{k}") for k in range(len(self._weights))
        ]
        added = Signal(range(self.ROUND * max(self._weights) + 1), reset_less=True)
        ahead = Signal.like(self.index, init=1)  # the next index
        fresh = Signal(init=1)  # the memory's contents are from before the clear

        m.d.sync += added.eq(0)
        with m.Switch(ahead):
            for k, weight in enumerate(self._weights):
                with m.Case(k):
                    m.d.sync += added.eq(recent[k] * weight)
        m.d.comb += [
            read.addr.eq(ahead),
            self.value.eq(Mux(fresh, 0, read.data) + added),
            write.addr.eq(self.index),
            write.data.eq(self.value),
            write.en.eq(1),
        ]
        m.d.sync += [self.index.eq(ahead), ahead.eq(ahead + 1)]
        with m.If(self.index == self.ROUND - 1):
            m.d.sync += fresh.eq(0)
        for k, count in enumerate(recent):
            m.d.sync += count.eq(Mux(ahead == k, 0, count) + self.events[k])
        with m.If(self.clear):
            m.d.sync += [self.index.eq(0), ahead.eq(1), added.eq(0), fresh.eq(1)]
            m.d.sync += [count.eq(0) for count in recent]
        return m
