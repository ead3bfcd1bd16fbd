"""An SDRAM's pins some cycles away, as registers in the pads put them."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

__all__ = ["LatePins"]


class LatePins(wiring.Component):
    """A component whose member ``sdram`` reaches its pins late; all others are as they were.

    For simulation: on a board the registers are the pads' own.

    Parameters
    ----------
    component : wiring.Component, with a member ``sdram`` : Out(SDRAMPins) or without
    latency : int, cycles there and back; there takes as long as back, or one more
    """

    def __init__(self, component, latency):
        self._component = component
        self._there = (latency + 1) // 2
        self._back = latency // 2
        super().__init__(dict(component.signature.members))

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        m.submodules.component = component = self._component
        for path, member, port in self.signature.flatten(self):
            inner = component
            for name in path:
                inner = getattr(inner, name)
            source, sink = (inner, port) if member.flow == Out else (port, inner)
            if path[0] == "sdram":
                source = _late(m, source, self._there if member.flow == Out else self._back)
            m.d.comb += sink.eq(source)
        return m


def _late(m, value, cycles):
    """Return a signal's value of so many cycles before."""
    for _ in range(cycles):
        register = Signal.like(value)
        m.d.sync += register.eq(value)
        value = register
    return value
