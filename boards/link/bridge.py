"""The host link: bytes of a serial line to register and memory accesses."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.bus.axi import AXI4Lite
from tilewright.hdl.memory.host import HostPort

__all__ = ["HostBridge"]


class HostBridge(wiring.Component):
    """Serve one request after another.

    A request is a byte that says what to do, a 32-bit address and, to write, a 32-bit word, least
    significant byte first. The answer to a read is the word, to a write the byte ``K``.

    ====== ====================
    byte   request
    ====== ====================
    ``R``  read a register
    ``W``  write a register
    ``r``  read memory
    ``w``  write memory
    ====== ====================

    Any other byte is answered by ``?``.

    Members
    -------
    i : In(stream of bytes), o : Out(stream of bytes)
    axil : Out(AXI4Lite)
    memory : Out(HostPort)
    """

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(8))),
                "o": Out(stream.Signature(unsigned(8))),
                "axil": Out(AXI4Lite(addr_width=8)),
                "memory": Out(HostPort()),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        axil, memory = self.axil, self.memory
        writes, registers = Signal(), Signal()
        left = Signal(range(8))  # bytes of the request after this one
        answer, answers = Signal(32), Signal(range(5))
        address_done, data_done = Signal(), Signal()
        m.d.comb += [
            axil.awaddr.eq(memory.addr[:8]),
            axil.araddr.eq(memory.addr[:8]),
            axil.wdata.eq(memory.data),
            axil.wstrb.eq(0xF),
            self.o.payload.eq(answer[:8]),
        ]
        request = {b: ord(b) for b in "RWrw"}
        with m.FSM():
            with m.State("COMMAND"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [answer.eq(ord("?")), answers.eq(1)]
                with m.If(self.i.valid):
                    m.next = "ANSWER"
                    with m.Switch(self.i.payload):
                        for letter, code in request.items():
                            with m.Case(code):
                                m.d.sync += [
                                    writes.eq(letter in "Ww"),
                                    registers.eq(letter in "RW"),
                                    left.eq(7 if letter in "Ww" else 3),
                                ]
                                m.next = "OPERANDS"
            with m.State("OPERANDS"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    with m.If(writes & (left < 4)):
                        m.d.sync += memory.data.eq(Cat(memory.data[8:], self.i.payload))
                    with m.Else():
                        m.d.sync += memory.addr.eq(Cat(memory.addr[8:], self.i.payload))
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 0):
                        m.d.sync += [address_done.eq(0), data_done.eq(0)]
                        m.next = "ACCESS"
            with m.State("ACCESS"):
                with m.If(registers & writes):
                    m.d.comb += [
                        axil.awvalid.eq(~address_done),
                        axil.wvalid.eq(~data_done),
                        axil.bready.eq(1),
                    ]
                    with m.If(axil.awready):
                        m.d.sync += address_done.eq(1)
                    with m.If(axil.wready):
                        m.d.sync += data_done.eq(1)
                    with m.If(axil.bvalid):
                        m.d.sync += answer.eq(ord("K"))
                        m.next = "ANSWER"
                with m.Elif(registers):
                    m.d.comb += [axil.arvalid.eq(~address_done), axil.rready.eq(1)]
                    with m.If(axil.arready):
                        m.d.sync += address_done.eq(1)
                    with m.If(axil.rvalid):
                        m.d.sync += [answer.eq(axil.rdata), answers.eq(4)]
                        m.next = "ANSWER"
                with m.Else():
                    m.d.comb += [memory.valid.eq(1), memory.write.eq(writes)]
                    with m.If(memory.ready):
                        m.d.sync += [
                            answer.eq(Mux(writes, ord("K"), memory.o)),
                            answers.eq(Mux(writes, 1, 4)),
                        ]
                        m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [answer.eq(answer >> 8), answers.eq(answers - 1)]
                    with m.If(answers == 1):
                        m.next = "COMMAND"
        return m
