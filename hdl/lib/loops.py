"""Nested loops without long carry chains, and addresses that run in rings."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LoopCounter", "RingStep"]


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
        left = Signal(len(self.count))  # iterations, this one included
        with m.If(self.start | self.step):
            # What comes next does not depend on `step`, which is often late.
            with m.If(self.start | self.last):
                m.d.sync += [left.eq(self.count), self.last.eq(self.count == 1)]
            with m.Else():
                m.d.sync += [left.eq(left - 1), self.last.eq(left == 2)]
        return m


class RingStep(wiring.Component):
    """Advance an offset in a ring: ``o = (i + step) % ring``, combinational.

    Parameters
    ----------
    width : int, bits

    Members
    -------
    ring : In(width + 1), at most ``2**width``; stable
    step : In(width); stable, below ``ring``
    i : In(width); below ``ring``
    o : Out(width)

    Timing
    ------
    The ring's part in the sum is registered: ``ring`` and ``step`` must be stable for a cycle
    before ``o`` is used.
    """

    def __init__(self, *, width):
        super().__init__(
            {"ring": In(width + 1), "step": In(width), "i": In(width), "o": Out(width)}
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        # Both sums run side by side; the sign of the smaller one chooses.
        back = Signal(signed(len(self.ring) + 1))
        wrapped = Signal(signed(len(self.ring) + 1))
        m.d.sync += back.eq(self.step - self.ring)
        m.d.comb += [
            wrapped.eq(self.i + back),
            self.o.eq(Mux(wrapped < 0, self.i + self.step, wrapped)),
        ]
        return m
