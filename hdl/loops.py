"""Nested loops without long carry chains."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LoopCounter"]


class LoopCounter(wiring.Component):
    """Count iterations of a loop; ``last`` is a register, so nested loops stay short paths.

    Parameters
    ----------
    width : int, bits

    Members
    -------
    count : In(width); iterations, at least 1
    start : In(1); begin the first iteration
    step : In(1); begin the next iteration, or the first again after the last
    last : Out(1); this is the last iteration
    """

    def __init__(self, *, width):
        super().__init__({"count": In(width), "start": In(1), "step": In(1), "last": Out(1)})

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        left = Signal(len(self.count))  # iterations after this one
        with m.If(self.start | (self.step & self.last)):
            m.d.sync += [left.eq(self.count - 1), self.last.eq(self.count == 1)]
        with m.Elif(self.step):
            m.d.sync += [left.eq(left - 1), self.last.eq(left == 1)]
        return m
