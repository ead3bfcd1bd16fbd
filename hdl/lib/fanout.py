"""Registers in several copies."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.families import get_family

__all__ = ["Fanout", "FanoutTree"]


class Fanout(wiring.Component):
    """A register in several copies, each for its own part of the array.

    One register that reaches every corner of the FPGA takes longer than a multiplication.

    Parameters
    ----------
    width : int, bits
    copies : int
    dsp : str
        Family that keeps the copies apart: :mod:`tilewright.hdl.families`.

    Members
    -------
    i : In(width)
    o : Out(array of copies of width bits)

    Timing
    ------
    latency ``LATENCY`` cycles, no reset, initially 0.
    """

    LATENCY = 1

    def __init__(self, *, width, copies, dsp):
        self._dsp = dsp
        super().__init__({"i": In(width), "o": Out(data.ArrayLayout(width, copies))})

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        copies = self._registers(m, "copy", [self.i] * self.o.shape().length)
        m.d.comb += [o.eq(copy) for o, copy in zip(self.o, copies, strict=True)]
        return m

    def _registers(self, m, name, values):
        """Return a register of its own for each value."""
        family, registers = get_family(self._dsp), []
        for k, value in enumerate(values):
            register = Signal(len(value), name=f"{name}_{k}", reset_less=True)
            family.register(m, f"{name}_{k}", value, register)
            registers.append(register)
        return registers


class FanoutTree(Fanout):
    """A register in several copies behind fewer copies of another one.

    For copies that are all over the FPGA: one register does not reach them in a cycle. Parameters
    and members are those of :class:`Fanout`.
    """

    LATENCY = 2 * Fanout.LATENCY
    #: Copies that share one of the registers before them.
    SHARE = 4

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        count = self.o.shape().length
        trunk = self._registers(m, "trunk", [self.i] * -(-count // self.SHARE))
        copies = self._registers(m, "copy", [trunk[k // self.SHARE] for k in range(count)])
        m.d.comb += [o.eq(copy) for o, copy in zip(self.o, copies, strict=True)]
        return m
