"""Frames in hardware: bytes of a line to the contents of sound frames, and replies to bytes."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.boards.link.frames import BLOCK, ESCAPE, FLAG, INVERTED

__all__ = ["CONTENT", "CRC_BYTES", "HEADER_BYTES", "Framer"]

#: A byte of a reply's content, and whether it is the last.
CONTENT = StructLayout({"byte": 8, "last": 1})
#: Around the payload of a request: sequence number, operation and address before it, CRC behind it.
HEADER_BYTES, CRC_BYTES = 6, 4
_POLYNOMIAL, _RESIDUE = 0xEDB88320, 0xDEBB20E3  # of the reflected CRC-32, before its last inversion


class _Checksum(wiring.Component):
    """The CRC-32 of bytes, a bit a cycle, which then leaves byte by byte.

    ``amaranth.lib.crc`` gives the whole of it at once, into registers that iCE40 has no room for.

    Members
    -------
    start : In(1); the next byte is the first
    byte : In(8), valid : In(1); taken unless ``busy``
    busy : Out(1)
    match : Out(1); the bytes so far end with their own CRC
    low : Out(8); the next byte of the CRC to send, and drop : In(1), that it is sent
    """

    def __init__(self):
        super().__init__(
            {
                "start": In(1),
                "byte": In(8),
                "valid": In(1),
                "busy": Out(1),
                "match": Out(1),
                "low": Out(8),
                "drop": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        crc, shift, left = Signal(32, init=0xFFFFFFFF), Signal(8), Signal(range(9))
        odd, shifts, compares = crc[0] ^ shift[0], left != 0, Signal()
        m.d.comb += [self.busy.eq(shifts | compares), self.low.eq(~crc[:8])]
        m.d.sync += [compares.eq(shifts), self.match.eq(crc == _RESIDUE)]
        with m.If(self.start):
            m.d.sync += crc.eq(crc.init)
        with m.Elif(shifts):
            m.d.sync += crc.eq((crc >> 1) ^ Mux(odd, _POLYNOMIAL, 0))
        with m.Elif(self.drop):
            m.d.sync += crc.eq(crc >> 8)
        with m.If(shifts):
            m.d.sync += [shift.eq(shift >> 1), left.eq(left - 1)]
        with m.Elif(self.valid & ~compares):
            m.d.sync += [shift.eq(self.byte), left.eq(8)]
        return m


class Framer(wiring.Component):
    """Find a sound frame in a stream of bytes, hold it while it is answered, and send the answer.

    Damaged frames are dropped. While a frame is held, no byte is taken.

    Parameters
    ----------
    address_bits : int, 8..32, that are kept of a frame's address
    pipelined : bool; a byte goes through two registers before anything depends on it

    Members
    -------
    i : In(stream of bytes), o : Out(stream of bytes)
    frame : Out(1); a frame is there, until ``taken``
    taken : In(1); its answer, if it has one, has been given
    sequence : Out(8), operation : Out(8), address : Out(address_bits); its first six bytes
    next : In(1); ``address`` grows by 4
    count : Out(9); bytes of the frame, CRC included
    place : In(9), byte : Out(8); the frame's byte at ``place`` two cycles before
    reply : In(stream of CONTENT); an answer's bytes one after another
    sent : Out(1); no answer is on its way, and so the frame may be ``taken``
    """

    def __init__(self, *, address_bits=32, pipelined=False):
        if not 8 <= address_bits <= 32:
            raise ValueError(f"address_bits must be in 8..32, not {address_bits!r}")
        self._pipelined = pipelined
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(8))),
                "o": Out(stream.Signature(unsigned(8))),
                "frame": Out(1),
                "taken": In(1),
                "sequence": Out(8),
                "operation": Out(8),
                "address": Out(address_bits),
                "next": In(1),
                "count": Out(9),
                "place": In(9),
                "byte": Out(8),
                "reply": In(stream.Signature(CONTENT)),
                "sent": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        # What comes is not checked while an answer is sent: one checksum does for both.
        m.submodules.checksum = checksum = _Checksum()
        m.d.comb += checksum.start.eq(self.taken)
        self._receive(m, checksum)
        self._send(m, checksum)
        return m

    def _receive(self, m, checksum):
        """Add the way from bytes to a frame."""
        m.submodules.bytes = memory = Memory(shape=unsigned(8), depth=2 * BLOCK, init=[])
        write, read = memory.write_port(), memory.read_port()
        escaped = Signal()
        given, is_flag, is_escape, taken = self._take(m, ~self.frame & ~checksum.busy)
        byte = given ^ (INVERTED * escaped)
        m.d.comb += [
            write.addr.eq(self.count),
            write.data.eq(byte),
            read.en.eq(1),
            read.addr.eq(self.place),
        ]
        m.d.sync += self.byte.eq(read.data)  # block RAM is slow
        with m.If(self.next):
            m.d.sync += self.address.eq(self.address + 4)
        with m.If(self.taken):
            m.d.sync += [self.frame.eq(0), self.count.eq(0)]
        with m.Elif(taken & is_flag):
            m.d.sync += escaped.eq(0)
            whole = (self.count >= HEADER_BYTES + CRC_BYTES) & ~self.count.all()
            with m.If(checksum.match & ~escaped & whole):
                m.d.sync += self.frame.eq(1)
            with m.Else():
                m.d.sync += self.count.eq(0)
                m.d.comb += checksum.start.eq(1)
        with m.Elif(taken & is_escape & ~escaped):
            m.d.sync += escaped.eq(1)
        with m.Elif(taken):
            m.d.sync += escaped.eq(0)
            with m.If(~self.count.all()):  # else it is too long for any frame
                m.d.comb += [checksum.byte.eq(byte), checksum.valid.eq(1), write.en.eq(1)]
                m.d.sync += self.count.eq(self.count + 1)
            with m.Switch(self.count):
                with m.Case(0):
                    m.d.sync += self.sequence.eq(byte)
                with m.Case(1):
                    m.d.sync += self.operation.eq(byte)
                for place in range(0, len(self.address), 8):
                    with m.Case(2 + place // 8):
                        m.d.sync += self.address[place : place + 8].eq(byte)

    def _take(self, m, free):
        """Take a byte while all is ``free``; return it, what it is, and when it counts."""
        if not self._pipelined:
            m.d.comb += self.i.ready.eq(free)
            byte = self.i.payload
            return byte, byte == FLAG, byte == ESCAPE, self.i.valid & self.i.ready
        # None is taken before the one before has counted: a line is slower by far.
        byte, came, known = Signal(8, reset_less=True), Signal(), Signal()
        is_flag, is_escape = Signal(reset_less=True), Signal(reset_less=True)
        takes = self.i.valid & self.i.ready
        m.d.sync += [
            self.i.ready.eq(free & ~takes & ~came & ~known),
            came.eq(takes),
            known.eq(came),
            is_flag.eq(byte == FLAG),
            is_escape.eq(byte == ESCAPE),
        ]
        with m.If(self.i.ready):
            m.d.sync += byte.eq(self.i.payload)
        return byte, is_flag, is_escape, known

    def _send(self, m, checksum):
        """Add the way from an answer to bytes."""
        byte, last = Signal(8), Signal()
        left = Signal(range(CRC_BYTES + 1))  # of the CRC, while it is sent
        tail = Signal()
        special = (byte == FLAG) | (byte == ESCAPE)
        reply, o = self.reply, self.o
        with m.FSM():
            with m.State("BEGIN"):
                m.d.comb += [self.sent.eq(1), o.payload.eq(FLAG), o.valid.eq(reply.valid)]
                with m.If(reply.valid & o.ready):
                    m.d.comb += checksum.start.eq(1)
                    m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += reply.ready.eq(~checksum.busy)
                m.d.sync += [byte.eq(reply.payload.byte), last.eq(reply.payload.last)]
                with m.If(reply.valid & reply.ready):
                    m.d.comb += [checksum.valid.eq(1), checksum.byte.eq(reply.payload.byte)]
                    m.next = "BYTE"
            with m.State("BYTE"):
                m.d.comb += [o.valid.eq(1), o.payload.eq(Mux(special, ESCAPE, byte))]
                with m.If(o.ready):
                    m.next = "NEXT"
                    with m.If(special):
                        m.next = "ESCAPED"
            with m.State("ESCAPED"):
                m.d.comb += [o.valid.eq(1), o.payload.eq(byte ^ INVERTED)]
                with m.If(o.ready):
                    m.next = "NEXT"
            with m.State("NEXT"):
                with m.If(tail & (left == 0)):
                    m.next = "END"
                with m.Elif(tail):
                    m.d.comb += checksum.drop.eq(1)
                    m.d.sync += [byte.eq(checksum.low), left.eq(left - 1)]
                    m.next = "BYTE"
                with m.Elif(~last):
                    m.next = "TAKE"
                with m.Elif(~checksum.busy):
                    m.d.sync += [tail.eq(1), left.eq(CRC_BYTES)]
            with m.State("END"):
                m.d.comb += [o.valid.eq(1), o.payload.eq(FLAG)]
                m.d.sync += tail.eq(0)
                with m.If(o.ready):
                    m.next = "BEGIN"
