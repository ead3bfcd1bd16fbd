"""The board's end of the host link: frames to register and memory accesses."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from tilewright.boards.link.frames import Answer, Operation
from tilewright.boards.link.framing import FrameReceiver, FrameSender
from tilewright.hdl.bus.axi import AXI4Lite
from tilewright.hdl.memory.host import HostPort

__all__ = ["HostBridge"]


class HostBridge(wiring.Component):
    """Carry out each request of a host once, in order, and answer it; see ``frames``.

    A request with the sequence number that is expected is carried out. One with a number up to 128
    before it has been: it is answered again, but only reads are done again. Others are answered
    with the number that is expected. A request that makes no sense, which no host sends, is
    dropped. HELLO with another session than the last one makes its number the last one done.

    Parameters
    ----------
    fifo_bytes : int, power of two; how far the host may be ahead
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
            if value < 4 or value & (value - 1):
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
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=8, depth=self._fifo_bytes)
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.sender = sender = FrameSender()
        m.submodules.registers = registers = RegisterPort()
        wiring.connect(m, wiring.flipped(self.i), fifo.w_stream)
        wiring.connect(m, fifo.r_stream, receiver.i)
        wiring.connect(m, sender.o, wiring.flipped(self.o))
        wiring.connect(m, registers.axil, wiring.flipped(self.axil))

        expected, session = Signal(8), Signal(32)
        sequence, answer = Signal(8), Signal(Answer)  # of the reply
        left = Signal(9)  # bytes of its payload, this one included
        word, phase = Signal(32), Signal(2)  # bytes that come or go, and which one is next
        address, place = Signal(32), Signal(9)
        writes, of_registers, hello = Signal(), Signal(), Signal()

        # One access at a time, to either.
        asks, ready, read = Signal(), Signal(), Signal(32)
        for port, mine in ((self.memory, ~of_registers), (registers.port, of_registers)):
            m.d.comb += [
                port.valid.eq(asks & mine),
                port.addr.eq(address),
                port.write.eq(writes),
                port.data.eq(word),
            ]
            with m.If(mine):
                m.d.comb += [ready.eq(port.ready), read.eq(port.o)]

        length, operation = receiver.length, receiver.operation
        is_ = {
            Operation.HELLO: length == 0,
            Operation.READ_MEMORY: length == 1,
            Operation.WRITE_MEMORY: (length != 0) & (length[:2] == 0),
            Operation.READ_REGISTER: length == 0,
            Operation.WRITE_REGISTER: length == 4,
        }
        is_ = {kind: (operation == kind) & fits for kind, fits in is_.items()}
        a_read = is_[Operation.READ_MEMORY] | is_[Operation.READ_REGISTER]
        a_write = is_[Operation.WRITE_MEMORY] | is_[Operation.WRITE_REGISTER]
        fresh, done, behind = Signal(), Signal(), Signal(8)
        m.d.comb += [
            behind.eq(expected - 1 - receiver.sequence),
            fresh.eq(receiver.sequence == expected),
            done.eq(~behind[7] & ~fresh),
            receiver.place.eq(place),
        ]

        with m.FSM():
            with m.State("WAIT"):
                m.d.sync += [
                    sequence.eq(receiver.sequence),
                    answer.eq(Answer.DONE),
                    left.eq(0),
                    word.eq(receiver.address),
                    phase.eq(0),
                    address.eq(receiver.address),
                    place.eq(0),
                    writes.eq(a_write),
                    of_registers.eq(is_[Operation.READ_REGISTER] | is_[Operation.WRITE_REGISTER]),
                    hello.eq(is_[Operation.HELLO]),
                ]
                with m.If(~receiver.frame):
                    pass
                with m.Elif(is_[Operation.HELLO]):
                    m.d.sync += left.eq(6)
                    with m.If(session != receiver.address):
                        m.d.sync += [
                            session.eq(receiver.address),
                            expected.eq(receiver.sequence + 1),
                        ]
                    m.next = "SEQUENCE"
                with m.Elif(~a_read & ~a_write):
                    m.next = "END"
                with m.Elif(fresh | done):
                    with m.If(fresh):
                        m.d.sync += expected.eq(expected + 1)
                    m.next = "SEQUENCE"
                    with m.If(a_read):
                        m.d.sync += left.eq(Mux(is_[Operation.READ_MEMORY], receiver.byte + 1, 4))
                    with m.Elif(fresh):
                        m.next = "PAYLOAD"
                with m.Else():
                    m.d.sync += [sequence.eq(expected), answer.eq(Answer.EXPECTED)]
                    m.next = "SEQUENCE"
            with m.State("PAYLOAD"):
                m.d.sync += place.eq(place + 1)
                m.next = "GATHER"
            with m.State("GATHER"):
                m.d.sync += [word.eq(Cat(word[8:], receiver.byte)), phase.eq(phase + 1)]
                m.next = "PAYLOAD"
                with m.If(phase == 3):
                    m.next = "ACCESS"
            with m.State("ACCESS"):
                m.d.comb += asks.eq(1)
                with m.If(ready):
                    m.d.sync += address.eq(address + 4)
                    with m.If(~writes):
                        m.d.sync += word.eq(read)
                        m.next = "SEND"
                    with m.Elif(place == length):
                        m.next = "SEQUENCE"
                    with m.Else():
                        m.next = "PAYLOAD"
            with m.State("SEQUENCE"):
                m.d.comb += [sender.i.valid.eq(1), sender.i.payload.byte.eq(sequence)]
                with m.If(sender.i.ready):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += [
                    sender.i.valid.eq(1),
                    sender.i.payload.byte.eq(answer),
                    sender.i.payload.last.eq(left == 0),
                ]
                with m.If(sender.i.ready):
                    m.next = "ACCESS"
                    with m.If(left == 0):
                        m.next = "END"
                    with m.Elif(hello):
                        m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [
                    sender.i.valid.eq(1),
                    sender.i.payload.byte.eq(word[:8]),
                    sender.i.payload.last.eq(left == 1),
                ]
                with m.If(sender.i.ready):
                    m.d.sync += [word.eq(word >> 8), left.eq(left - 1), phase.eq(phase + 1)]
                    with m.If(left == 1):
                        m.next = "END"
                    with m.Elif((phase == 3) & hello):
                        m.d.sync += word.eq(self._sizes())
                    with m.Elif(phase == 3):
                        m.next = "ACCESS"
            with m.State("END"):
                m.d.comb += receiver.taken.eq(1)
                m.next = "WAIT"
        return m

    def _sizes(self):
        """Return what HELLO tells: log2 of the FIFO's and the memory's bytes."""
        fifo, memory = (x.bit_length() - 1 for x in (self._fifo_bytes, self._memory_bytes))
        return fifo | memory << 8


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
