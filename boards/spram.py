"""The iCE40UP5K's large memories behind AXI4."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.bus.axi import AXI4

__all__ = ["LargeMemory"]


class LargeMemory(wiring.Component):
    """All four SB_SPRAM256KA as an AXI4 subordinate of 32 bits, with a second port for the host.

    Addresses wrap at ``SIZE_BYTES``. Each memory has one port. A burst in one direction ends before
    one in the other begins. The host's accesses wait for nothing: use them while the engine is
    idle.

    Members
    -------
    axi : In(AXI4); one burst at a time, two cycles per beat read
    addr : In(32), bytes; rounded down to 4
    write : In(1), data : In(32); written in this cycle
    o : Out(32); the word at ``addr``, ``HOST_LATENCY`` cycles later

    Source
    ------
    Lattice FPGA-TN-02022, iCE40 SPRAM Usage Guide
    """

    HOST_LATENCY = 1
    SIZE_BYTES = 4 * 32 * 1024

    def __init__(self):
        super().__init__(
            {
                "axi": In(AXI4(data_width=32)),
                "addr": In(32),
                "write": In(1),
                "data": In(32),
                "o": Out(32),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        axi = self.axi
        width = (self.SIZE_BYTES // 4 - 1).bit_length()
        at, left = Signal(width), Signal(8)  # of the burst under way
        ours, written = Signal(), Signal()  # the burst has the memory; a beat of it is written
        word, enable, given = Signal(width), Signal(), Signal(32)
        bank, shown = Signal(), Signal(32)
        m.d.comb += [
            word.eq(Mux(ours, at, self.addr[2:])),
            given.eq(Mux(ours, axi.wdata, self.data)),
            enable.eq(Mux(ours, written, self.write)),
            self.o.eq(shown),
            axi.rdata.eq(shown),
            axi.rlast.eq(left == 0),
        ]
        m.d.sync += bank.eq(word[-1])
        outputs = []
        for b in range(2):
            halves = []
            for half in range(2):
                o = Signal(16, name=f"o_{b}_{half}")
                m.submodules[f"spram_{b}_{half}"] = Instance(
                    "SB_SPRAM256KA",
                    i_CLOCK=ClockSignal(),
                    i_ADDRESS=word[:-1],
                    i_DATAIN=given[16 * half : 16 * half + 16],
                    i_MASKWREN=Const(0xF, 4),
                    i_WREN=enable & (word[-1] == b),
                    i_CHIPSELECT=Const(1),
                    i_STANDBY=Const(0),
                    i_SLEEP=Const(0),
                    i_POWEROFF=Const(1),  # active low
                    o_DATAOUT=o,
                )
                halves.append(o)
            outputs.append(Cat(halves))
        m.d.comb += shown.eq(Mux(bank, outputs[1], outputs[0]))

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
