"""Cutting a stream's combinational paths."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SkidBuffer"]


class SkidBuffer(wiring.Component):
    """Registers between both sides of a stream, ``ready`` included, at full throughput.

    Parameters
    ----------
    shape : of the payload

    Members
    -------
    i : In(stream), o : Out(stream)

    Timing
    ------
    latency ``LATENCY`` cycles; holds two items.
    """

    LATENCY = 1

    def __init__(self, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        item = Signal.like(self.o.payload, reset_less=True)
        second, full = Signal.like(item), Signal()  # of the item that came while `o` was taken
        m.d.comb += [self.i.ready.eq(~full), self.o.payload.eq(item)]
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [self.o.valid.eq(self.i.valid | full), full.eq(0), item.eq(self.i.payload)]
            with m.If(full):
                m.d.sync += item.eq(second)
        with m.Elif(self.i.valid):
            m.d.sync += full.eq(1)
        with m.If(~full):
            m.d.sync += second.eq(self.i.payload)
        return m
