"""Registers in several copies."""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Fanout", "FanoutTree"]


class Fanout(wiring.Component):
    """A register in several copies, each for its own part of the array.

    One register that reaches every corner of the FPGA takes longer than a multiplication.

    Parameters
    ----------
    width : int, bits
    copies : int
    dsp : str
        "ecp5" instantiates TRELLIS_FF, because Yosys merges registers with the same input;
        "inferred" leaves it to the synthesizer.

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
        for k in range(self.o.shape().length):
            copy = Signal(len(self.i), name=f"copy_{k}", reset_less=True)
            m.d.comb += self.o[k].eq(copy)
            if self._dsp == "ecp5":
                for bit in range(len(self.i)):
                    m.submodules[f"ff_{k}_{bit}"] = _trellis_ff(self.i[bit], copy[bit])
            else:
                m.d.sync += copy.eq(self.i)
        return m


class FanoutTree(wiring.Component):
    """A register in several copies behind fewer copies of another one.

    For copies that are all over the FPGA: one register does not reach them in a cycle.

    Parameters
    ----------
    width, copies, dsp : as for :class:`Fanout`

    Members
    -------
    i : In(width)
    o : Out(array of copies of width bits)

    Timing
    ------
    latency ``LATENCY`` cycles, no reset, initially 0.
    """

    LATENCY = 2 * Fanout.LATENCY
    #: Copies that share one of the registers before them.
    SHARE = 4

    def __init__(self, *, width, copies, dsp):
        self._dsp = dsp
        super().__init__({"i": In(width), "o": Out(data.ArrayLayout(width, copies))})

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        width, copies = len(self.i), self.o.shape().length
        m.submodules.trunk = trunk = Fanout(
            width=width, copies=-(-copies // self.SHARE), dsp=self._dsp
        )
        m.d.comb += trunk.i.eq(self.i)
        for k in range(copies):
            m.submodules[f"branch_{k}"] = branch = Fanout(width=width, copies=1, dsp=self._dsp)
            m.d.comb += [branch.i.eq(trunk.o[k // self.SHARE]), self.o[k].eq(branch.o[0])]
        return m


def _trellis_ff(d, q):
    return Instance(
        "TRELLIS_FF",
        p_GSR="DISABLED",
        p_CEMUX="1",
        p_CLKMUX="CLK",
        p_LSRMUX="LSR",
        p_REGSET="RESET",
        i_CLK=ClockSignal(),
        i_LSR=Const(0),
        i_DI=d,
        o_Q=q,
    )
