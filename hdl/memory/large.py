"""Memories of an FPGA that are larger than block RAM, behind AXI4."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from tilewright.hdl.bus.axi import AXI4
from tilewright.hdl.families import get_family
from tilewright.hdl.memory.host import HostPort

__all__ = ["LargeMemory"]


class LargeMemory(wiring.Component):
    """All large memories as an AXI4 subordinate of 32 bits, with a second port for the host.

    Addresses wrap at the family's ``large_bytes``. Each memory has one port. A burst in one
    direction ends before one in the other begins; of two addresses that are shown, the one to write
    is taken. The host's accesses come between bursts, and delay none.

    Parameters
    ----------
    dsp : str
        A family that has such memories: :mod:`tilewright.hdl.families`.

    Members
    -------
    axi : In(AXI4); one burst at a time
    host : In(HostPort)

    Timing
    ------
    Address taken in cycle t: a read's first beat is valid at ``t + READ``, the others ``READ``
    after the one before was taken; a write's beats are taken from ``t + 1`` on, and it is confirmed
    ``CONFIRM`` after the last one. The next address is taken in the cycle after the last beat read
    or the confirmation, or later.
    """

    DATA_WIDTH = 32
    READ = 2
    CONFIRM = 1

    def __init__(self, *, dsp):
        self._family = get_family(dsp)
        super().__init__(
            {
                "axi": In(AXI4(data_width=self.DATA_WIDTH)),
                "host": In(HostPort()),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        axi, host = self.axi, self.host
        width = (self._family.large_bytes // 4 - 1).bit_length()
        at, left = Signal(width), Signal(8)  # of the burst under way
        ours, written = Signal(), Signal()  # the burst has the memory; a beat of it is written
        word, enable, given = Signal(width), Signal(), Signal(32)
        shown, looked_up = Signal(32), Signal()
        m.d.comb += [
            word.eq(Mux(ours, at, host.addr[2:])),
            given.eq(Mux(ours, axi.wdata, host.data)),
            enable.eq(Mux(ours, written, host.valid & host.write)),
            host.o.eq(shown),
            host.ready.eq(host.valid & Mux(host.write, ~ours, looked_up)),
            axi.rdata.eq(shown),
            axi.rlast.eq(left == 0),
        ]
        m.d.sync += looked_up.eq(host.valid & ~ours & ~host.ready)
        self._family.large_memory(m, word, given, enable, shown)

        with m.FSM():
            with m.State("IDLE"):
                with m.If(axi.awvalid):
                    m.d.comb += axi.awready.eq(1)
                    m.d.sync += at.eq(axi.awaddr[2:])
                    m.next = "WRITE"
                with m.Elif(axi.arvalid):
                    m.d.comb += axi.arready.eq(1)
                    m.d.sync += [at.eq(axi.araddr[2:]), left.eq(axi.arlen)]
                    m.next = "READ"
            with m.State("WRITE"):
                m.d.comb += [ours.eq(1), axi.wready.eq(1), written.eq(axi.wvalid)]
                with m.If(axi.wvalid):
                    m.d.sync += at.eq(at + 1)
                    with m.If(axi.wlast):
                        m.next = "CONFIRM"
            with m.State("CONFIRM"):
                m.d.comb += axi.bvalid.eq(1)
                with m.If(axi.bready):
                    m.next = "IDLE"
            with m.State("READ"):
                m.d.comb += ours.eq(1)
                m.next = "BEAT"
            with m.State("BEAT"):
                m.d.comb += [ours.eq(1), axi.rvalid.eq(1)]
                with m.If(axi.rready):
                    m.d.sync += [at.eq(at + 1), left.eq(left - 1)]
                    m.next = "READ"
                    with m.If(axi.rlast):
                        m.next = "IDLE"
        return m
