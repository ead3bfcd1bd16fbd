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
        m.submodules.framer = framer = Framer(
            address_bits=max(8, self._memory_bytes.bit_length() - 1),
            pipelined=self._fifo_bytes > 1,  # its block RAM is slow
        )
        if self._fifo_bytes > 1:
            m.submodules.fifo = fifo = SyncFIFOBuffered(width=8, depth=self._fifo_bytes)
            wiring.connect(m, wiring.flipped(self.i), fifo.w_stream)
            wiring.connect(m, fifo.r_stream, framer.i)
        else:
            wiring.connect(m, wiring.flipped(self.i), framer.i)
        wiring.connect(m, framer.o, wiring.flipped(self.o))
        s = _State()
        m.d.comb += s.behind.eq(s.expected - 1 - framer.sequence)
        self._connect_ports(m, framer, s)
        told = self._told(m, framer, s)
        with m.FSM():
            self._understand(m, framer, s)
            self._access(m, framer, s)
            self._answer(m, framer, told, s)
        return m

    def _connect_ports(self, m, framer, s):
        """Lead the access that is asked for to registers or to memory."""
        m.submodules.registers = registers = RegisterPort()
        wiring.connect(m, registers.axil, wiring.flipped(self.axil))
        for port, mine in ((self.memory, ~s.of_registers), (registers.port, s.of_registers)):
            m.d.comb += [
                port.valid.eq(s.asks & mine),
                port.addr.eq(framer.address),
                port.write.eq(s.writes),
                port.data.eq(s.word),
            ]
            with m.If(mine):
                m.d.comb += [s.ready.eq(port.ready), s.read.eq(port.o)]

    def _understand(self, m, framer, s):
        """Say what a frame asks for, and whether it is its turn."""
        operation, count = framer.operation, framer.count
        empty = HEADER_BYTES + CRC_BYTES  # bytes of a frame without a payload
        whole_words = (count[:2] == empty % 4) & (count > empty)
        with m.State("WAIT"):
            m.d.sync += [
                s.left.eq(0),
                s.phase.eq(0),
                framer.place.eq(HEADER_BYTES),
                s.hello.eq((operation == Operation.HELLO) & (count == empty)),
                s.reads.eq(
                    ((operation == Operation.READ_MEMORY) & (count == empty + 1))
                    | ((operation == Operation.READ_REGISTER) & (count == empty))
                ),
                s.reads_memory.eq(operation == Operation.READ_MEMORY),
                s.writes.eq(
                    ((operation == Operation.WRITE_MEMORY) & whole_words)
                    | ((operation == Operation.WRITE_REGISTER) & (count == empty + 4))
                ),
                s.of_registers.eq(
                    (operation == Operation.READ_REGISTER) | (operation == Operation.WRITE_REGISTER)
                ),
                s.fresh.eq(framer.sequence == s.expected),
                s.done.eq(~s.behind[7]),
            ]
            with m.If(framer.frame):
                m.next = "DECIDE"
        with m.State("DECIDE"):
            m.next = "SEQUENCE"
            with m.If(s.hello):
                m.d.sync += [s.left.eq(7), framer.place.eq(HEADER_BYTES - 4)]
                with m.If(s.session != framer.address[:8]):
                    m.d.sync += [
                        s.session.eq(framer.address[:8]),
                        s.expected.eq(framer.sequence + 1),
                    ]
            with m.Elif(~s.reads & ~s.writes):
                m.next = "END"
            with m.Elif(s.fresh | s.done):
                with m.If(s.fresh):
                    m.d.sync += s.expected.eq(s.expected + 1)
                with m.If(s.reads):
                    m.d.sync += s.left.eq(Mux(s.reads_memory, framer.byte + 1, 4))
                with m.Elif(s.fresh):
                    m.next = "PAYLOAD"

    def _access(self, m, framer, s):
        """Gather a word of the payload if one is written, and access its address."""
        place = framer.place
        with m.State("PAYLOAD"):
            m.d.sync += place.eq(place + 1)
            m.next = "LOOK UP"
        with m.State("LOOK UP"):
            m.next = "GATHER"
        with m.State("GATHER"):
            m.d.sync += [s.word.eq(Cat(s.word[8:], framer.byte)), s.phase.eq(s.phase + 1)]
            m.next = "PAYLOAD"
            with m.If(s.phase == 3):
                m.next = "ACCESS"
        with m.State("ACCESS"):
            m.d.sync += s.asks.eq(~s.ready)
            with m.If(s.ready):
                m.next = "ADVANCE"
                with m.If(s.reads):
                    m.d.sync += s.word.eq(s.read)
        with m.State("ADVANCE"):
            m.d.comb += framer.next.eq(1)
            m.next = "PAYLOAD"
            with m.If(s.reads):
                m.next = "SEND"
            with m.Elif(place + CRC_BYTES == framer.count):
                m.next = "SEQUENCE"

    def _answer(self, m, framer, told, s):
        """Send the reply: its number, what became of the request, what was read."""
        reply = framer.reply
        as_expected = s.hello | s.fresh | s.done
        with m.State("SEQUENCE"):
            m.d.comb += [
                reply.valid.eq(1),
                reply.payload.byte.eq(Mux(as_expected, framer.sequence, s.expected)),
            ]
            with m.If(reply.ready):
                m.next = "ANSWER"
        with m.State("ANSWER"):
            m.d.comb += [
                reply.valid.eq(1),
                reply.payload.byte.eq(Mux(as_expected, Answer.DONE, Answer.EXPECTED)),
                reply.payload.last.eq(s.left == 0),
            ]
            with m.If(reply.ready):
                m.next = "ACCESS"
                with m.If(s.left == 0):
                    m.next = "END"
                with m.Elif(s.hello):
                    m.next = "SEND"
        with m.State("SEND"):
            m.d.comb += [
                reply.valid.eq(1),
                reply.payload.byte.eq(Mux(s.hello, told, s.word[:8])),
                reply.payload.last.eq(s.left == 1),
            ]
            with m.If(reply.ready):
                m.d.sync += [
                    s.word.eq(Cat(s.word[8:], framer.byte)),
                    s.left.eq(s.left - 1),
                    s.phase.eq(s.phase + 1),
                    framer.place.eq(framer.place + 1),
                ]
                with m.If(s.left == 1):
                    m.next = "END"
                with m.Elif((s.phase == 3) & ~s.hello):
                    m.next = "ACCESS"
        with m.State("END"):
            with m.If(framer.sent):
                m.d.comb += framer.taken.eq(1)
                m.next = "WAIT"

    def _told(self, m, framer, s):
        """Return a byte of HELLO's reply: its address, which the frame still has, and more."""
        told = Signal(8)
        m.d.comb += told.eq(framer.byte)
        with m.Switch(s.left):
            with m.Case(3):
                m.d.comb += told.eq(self._fifo_bytes.bit_length() - 1)
            with m.Case(2):
                m.d.comb += told.eq(self._memory_bytes.bit_length() - 1)
            with m.Case(1):
                m.d.comb += told.eq(s.expected)
        return told


class _State:
    """Registers and wires that the steps of the bridge share.

    What a frame asks for stays in registers until it has been answered; the memory is far away, so
    that the asking is one too.
    """

    def __init__(self):
        self.hello, self.reads, self.reads_memory, self.writes = (
            Signal(name=name) for name in ("hello", "reads", "reads_memory", "writes")
        )
        self.of_registers, self.fresh, self.done = (
            Signal(name=name) for name in ("of_registers", "fresh", "done")
        )
        self.expected, self.session, self.behind = (
            Signal(8, name=name) for name in ("expected", "session", "behind")
        )
        self.word, self.phase = Signal(32), Signal(2)  # bytes that come or go, which one is next
        self.left = Signal(9)  # bytes of the reply's payload, this one included
        self.asks, self.ready, self.read = Signal(), Signal(), Signal(32)


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
