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
        copies = self._registers(m, "copy", [self.i] * self.o.shape().length)
        m.d.comb += [o.eq(copy) for o, copy in zip(self.o, copies, strict=True)]
        return m

    def _registers(self, m, name, values):
        """Return a register of its own for each value."""
        registers = []
        for k, value in enumerate(values):
            register = Signal(len(value), name=f"{name}_{k}", reset_less=True)
            if self._dsp == "ecp5":
                for bit in range(len(value)):
                    m.submodules[f"{name}_{k}_{bit}"] = _trellis_ff(value[bit], register[bit])
            else:
                m.d.sync += register.eq(value)
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
