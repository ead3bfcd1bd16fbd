"""Bursts whose address memory has taken, and their beats."""

from itertools import pairwise

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Flight"]


class Flight(wiring.Component):
    """Count bursts and the beats of the oldest, as both sides of AXI must.

    Parameters
    ----------
    limit : int           bursts at most; more are not remembered

    Members
    -------
    burst : In(1), len : In(8)   an address is taken
    beat : In(1)          a beat is taken
    level : Out           bursts whose last beat has not been taken
    last : Out(1)         the next beat is the last of its burst
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        super().__init__(
            {
                "burst": In(1),
                "len": In(8),
                "beat": In(1),
                "level": Out(range(limit + 2)),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lengths = [Signal(8, name=f"len_{k}") for k in range(self._limit)]
        place, over = Signal(8), Signal()
        m.d.comb += [self.last.eq(place == lengths[0]), over.eq(self.beat & self.last)]
        m.d.sync += self.level.eq(self.level + self.burst - over)
        with m.If(self.beat):
            m.d.sync += place.eq(place + 1)
        with m.If(over):
            m.d.sync += place.eq(0)
            m.d.sync += [a.eq(b) for a, b in pairwise(lengths)]
        with m.If(self.burst):
            for k, length in enumerate(lengths):
                with m.If(self.level - over == k):
                    m.d.sync += length.eq(self.len)
        return m
