"""The board's end of the host link: frames to register and memory accesses."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from tilewright.boards.link.frames import Answer, Operation
from tilewright.boards.link.framing import CRC_BYTES, HEADER_BYTES, Framer
from tilewright.hdl.bus.axi import AXI4Lite
from tilewright.hdl.memory.host import HostPort

__all__ = ["HostBridge"]


class HostBridge(wiring.Component):
    """Carry out each request of a host once, in order, and answer it; see ``frames``.

    A request with the sequence number that is expected is carried out. One with a number up to 128
    before it has been: it is answered again, but only reads are done again. Others are answered
    with the number that is expected. A request that makes no sense, which no host sends, is
    dropped. HELLO with another session than the last one makes its number the last one done; of the
    session, the board keeps eight bits, and its answer says which number it expects.

    Parameters
    ----------
    fifo_bytes : int, power of two; how far the host may be ahead. With 1 there is no FIFO, and the
        host sends one request at a time
    memory_bytes : int, power of two; what HELLO tells the host

    Members
    -------
    i : In(stream of bytes); what comes while the FIFO is full is lost
    o : Out(stream of bytes)
    axil : Out(AXI4Lite)
    memory : Out(HostPort)
    """

    def __init__(self, *, fifo_bytes, memory_bytes):
        for name, value in (("fifo_bytes", fifo_bytes), ("memory_bytes", memory_bytes)):
            if value < 1 or value & (value - 1):
                raise ValueError(f"{name} must be a power of two, not {value!r}")
        self._fifo_bytes = fifo_bytes
        self._memory_bytes = memory_bytes
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
        memory_log = self._memory_bytes.bit_length() - 1
        m.submodules.framer = framer = Framer(
            address_bits=max(8, memory_log),
            pipelined=self._fifo_bytes > 1,  # its block RAM is slow
        )
        m.submodules.registers = registers = RegisterPort()
        if self._fifo_bytes > 1:
            m.submodules.fifo = fifo = SyncFIFOBuffered(width=8, depth=self._fifo_bytes)
            wiring.connect(m, wiring.flipped(self.i), fifo.w_stream)
            wiring.connect(m, fifo.r_stream, framer.i)
        else:
            wiring.connect(m, wiring.flipped(self.i), framer.i)
        wiring.connect(m, framer.o, wiring.flipped(self.o))
        wiring.connect(m, registers.axil, wiring.flipped(self.axil))

        # What the frame asks for; its registers stay until it has been answered.
        operation, count = framer.operation, framer.count
        empty = HEADER_BYTES + CRC_BYTES  # bytes of a frame without a payload
        whole_words = (count[:2] == empty % 4) & (count > empty)
        hello, reads, reads_memory, writes = (Signal() for _ in range(4))
        of_registers, fresh, done = Signal(), Signal(), Signal()
        expected, session, behind = Signal(8), Signal(8), Signal(8)
        m.d.comb += behind.eq(expected - 1 - framer.sequence)

        word, phase = Signal(32), Signal(2)  # bytes that come or go, and which one is next
        left = Signal(9)  # bytes of the reply's payload, this one included
        told = Signal(8)  # by HELLO: its address, which the frame still has, and more
        m.d.comb += told.eq(framer.byte)
        with m.Switch(left):
            with m.Case(3):
                m.d.comb += told.eq(self._fifo_bytes.bit_length() - 1)
            with m.Case(2):
                m.d.comb += told.eq(memory_log)
            with m.Case(1):
                m.d.comb += told.eq(expected)

        asks, ready, read = Signal(), Signal(), Signal(32)  # memory is far away: asks is a register
        for port, mine in ((self.memory, ~of_registers), (registers.port, of_registers)):
            m.d.comb += [
                port.valid.eq(asks & mine),
                port.addr.eq(framer.address),
                port.write.eq(writes),
                port.data.eq(word),
            ]
            with m.If(mine):
                m.d.comb += [ready.eq(port.ready), read.eq(port.o)]
        place, reply = framer.place, framer.reply
        as_expected = hello | fresh | done

        with m.FSM():
            with m.State("WAIT"):
                m.d.sync += [
                    left.eq(0),
                    phase.eq(0),
                    place.eq(HEADER_BYTES),
                    hello.eq((operation == Operation.HELLO) & (count == empty)),
                    reads.eq(
                        ((operation == Operation.READ_MEMORY) & (count == empty + 1))
                        | ((operation == Operation.READ_REGISTER) & (count == empty))
                    ),
                    reads_memory.eq(operation == Operation.READ_MEMORY),
                    writes.eq(
                        ((operation == Operation.WRITE_MEMORY) & whole_words)
                        | ((operation == Operation.WRITE_REGISTER) & (count == empty + 4))
                    ),
                    of_registers.eq(
                        (operation == Operation.READ_REGISTER)
                        | (operation == Operation.WRITE_REGISTER)
                    ),
                    fresh.eq(framer.sequence == expected),
                    done.eq(~behind[7]),
                ]
                with m.If(framer.frame):
                    m.next = "DECIDE"
            with m.State("DECIDE"):
                m.next = "SEQUENCE"
                with m.If(hello):
                    m.d.sync += [left.eq(7), place.eq(HEADER_BYTES - 4)]
                    with m.If(session != framer.address[:8]):
                        m.d.sync += [
                            session.eq(framer.address[:8]),
                            expected.eq(framer.sequence + 1),
                        ]
                with m.Elif(~reads & ~writes):
                    m.next = "END"
                with m.Elif(fresh | done):
                    with m.If(fresh):
                        m.d.sync += expected.eq(expected + 1)
                    with m.If(reads):
                        m.d.sync += left.eq(Mux(reads_memory, framer.byte + 1, 4))
                    with m.Elif(fresh):
                        m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                m.d.sync += place.eq(place + 1)
                m.next = "LOOK UP"
            with m.State("LOOK UP"):
                m.next = "GATHER"
            with m.State("GATHER"):
                m.d.sync += [word.eq(Cat(word[8:], framer.byte)), phase.eq(phase + 1)]
                m.next = "PAYLOAD"
                with m.If(phase == 3):
                    m.next = "ACCESS"
            with m.State("ACCESS"):
                m.d.sync += asks.eq(~ready)
                with m.If(ready):
                    m.next = "ADVANCE"
                    with m.If(reads):
                        m.d.sync += word.eq(read)
            with m.State("ADVANCE"):
                m.d.comb += framer.next.eq(1)
                m.next = "PAYLOAD"
                with m.If(reads):
                    m.next = "SEND"
                with m.Elif(place + CRC_BYTES == count):
                    m.next = "SEQUENCE"
            with m.State("SEQUENCE"):
                m.d.comb += [
                    reply.valid.eq(1),
                    reply.payload.byte.eq(Mux(as_expected, framer.sequence, expected)),
                ]
                with m.If(reply.ready):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += [
                    reply.valid.eq(1),
                    reply.payload.byte.eq(Mux(as_expected, Answer.DONE, Answer.EXPECTED)),
                    reply.payload.last.eq(left == 0),
                ]
                with m.If(reply.ready):
                    m.next = "ACCESS"
                    with m.If(left == 0):
                        m.next = "END"
                    with m.Elif(hello):
                        m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [
                    reply.valid.eq(1),
                    reply.payload.byte.eq(Mux(hello, told, word[:8])),
                    reply.payload.last.eq(left == 1),
                ]
                with m.If(reply.ready):
                    m.d.sync += [
                        word.eq(Cat(word[8:], framer.byte)),
                        left.eq(left - 1),
                        phase.eq(phase + 1),
                        place.eq(place + 1),
                    ]
                    with m.If(left == 1):
                        m.next = "END"
                    with m.Elif((phase == 3) & ~hello):
                        m.next = "ACCESS"
            with m.State("END"):
                with m.If(framer.sent):
                    m.d.comb += framer.taken.eq(1)
                    m.next = "WAIT"
        return m


class RegisterPort(wiring.Component):
    """Registers behind AXI4-Lite, one access at a time.

    Members
    -------
    port : In(HostPort)
    axil : Out(AXI4Lite)
    """

    def __init__(self):
        super().__init__({"port": In(HostPort()), "axil": Out(AXI4Lite(addr_width=8))})

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        axil, port = self.axil, self.port
        addressed, written = Signal(), Signal()
        m.d.comb += [
            axil.awaddr.eq(port.addr[:8]),
            axil.araddr.eq(port.addr[:8]),
            axil.wdata.eq(port.data),
            axil.wstrb.eq(0xF),
            axil.awvalid.eq(port.valid & port.write & ~addressed),
            axil.wvalid.eq(port.valid & port.write & ~written),
            axil.arvalid.eq(port.valid & ~port.write & ~addressed),
            axil.bready.eq(port.valid & port.write),
            axil.rready.eq(port.valid & ~port.write),
            port.o.eq(axil.rdata),
            port.ready.eq((axil.bvalid & axil.bready) | (axil.rvalid & axil.rready)),
        ]
        with m.If(port.ready):
            m.d.sync += [addressed.eq(0), written.eq(0)]
        with m.Else():
            with m.If((axil.awvalid & axil.awready) | (axil.arvalid & axil.arready)):
                m.d.sync += addressed.eq(1)
            with m.If(axil.wvalid & axil.wready):
                m.d.sync += written.eq(1)
        return m
