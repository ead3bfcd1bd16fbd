"""Frames in hardware: bytes of a line to the contents of sound frames, and back."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.crc import catalog
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.boards.link.frames import BLOCK, ESCAPE, FLAG, INVERTED

__all__ = ["CONTENT", "FrameReceiver", "FrameSender"]

#: A byte of a frame's content, and whether it is the last.
CONTENT = StructLayout({"byte": 8, "last": 1})

_CRC_BYTES = 4
_LONGEST = 6 + BLOCK + _CRC_BYTES


class _Checksum(wiring.Component):
    """The CRC-32 of bytes, a bit a cycle.

    Members
    -------
    start : In(1); the next byte is the first
    byte : In(8), taken when ``valid`` and not ``busy``
    crc : Out(32), match : Out(1); of the bytes so far, while not ``busy``
    """

    def __init__(self):
        super().__init__(
            {
                "start": In(1),
                "byte": In(8),
                "valid": In(1),
                "busy": Out(1),
                "crc": Out(32),
                "match": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.processor = processor = catalog.CRC32_ETHERNET(data_width=1).create()
        shift, left = Signal(8), Signal(range(9))
        m.d.comb += [
            self.busy.eq(left != 0),
            processor.start.eq(self.start),
            processor.data.eq(shift[0]),
            processor.valid.eq(self.busy),
            self.crc.eq(processor.crc),
            self.match.eq(processor.match_detected),
        ]
        with m.If(self.busy):
            m.d.sync += [shift.eq(shift >> 1), left.eq(left - 1)]
        with m.Elif(self.valid):
            m.d.sync += [shift.eq(self.byte), left.eq(8)]
        return m


class FrameReceiver(wiring.Component):
    """Find frames in a stream of bytes; drop those that are damaged.

    Members
    -------
    i : In(stream of bytes)
    frame : Out(1); a sound frame is there, until ``taken``
    taken : In(1)
    sequence : Out(8), operation : Out(8), address : Out(32); its first six bytes
    length : Out(9); bytes of its payload
    place : In(8), byte : Out(8); the payload's byte at ``place`` one cycle before
    """

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(8))),
                "frame": Out(1),
                "taken": In(1),
                "sequence": Out(8),
                "operation": Out(8),
                "address": Out(32),
                "length": Out(9),
                "place": In(8),
                "byte": Out(8),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        m.submodules.checksum = checksum = _Checksum()
        # The CRC, too, lies behind the payload: where it begins is known at the end.
        m.submodules.payload = payload = Memory(shape=unsigned(8), depth=2 * BLOCK, init=[])
        write, read = payload.write_port(), payload.read_port()
        escaped = Signal()
        count = Signal(range(2 * BLOCK))  # bytes so far, and one more than the longest frame has
        header = Signal(48)
        byte = Signal(8)
        m.d.comb += [
            self.i.ready.eq(~self.frame & ~checksum.busy),
            byte.eq(self.i.payload ^ (INVERTED * escaped)),
            checksum.byte.eq(byte),
            write.addr.eq(count - 6),
            write.data.eq(byte),
            read.en.eq(1),
            read.addr.eq(self.place),
            self.byte.eq(read.data),
            self.sequence.eq(header[:8]),
            self.operation.eq(header[8:16]),
            self.address.eq(header[16:]),
            self.length.eq(count - (6 + _CRC_BYTES)),
        ]
        with m.If(self.taken):
            m.d.sync += [self.frame.eq(0), count.eq(0)]
            m.d.comb += checksum.start.eq(1)
        with m.If(self.i.valid & self.i.ready):
            with m.If(self.i.payload == FLAG):
                m.d.sync += escaped.eq(0)
                with m.If(
                    checksum.match & ~escaped & (count >= 6 + _CRC_BYTES) & (count <= _LONGEST)
                ):
                    m.d.sync += self.frame.eq(1)
                with m.Else():
                    m.d.sync += count.eq(0)
                    m.d.comb += checksum.start.eq(1)
            with m.Elif((self.i.payload == ESCAPE) & ~escaped):
                m.d.sync += escaped.eq(1)
            with m.Else():
                m.d.sync += escaped.eq(0)
                with m.If(count <= _LONGEST):
                    m.d.comb += [checksum.valid.eq(1), write.en.eq(count >= 6)]
                    m.d.sync += count.eq(count + 1)
                    with m.If(count < 6):
                        m.d.sync += header.eq((byte << 40) | (header >> 8))
        return m


class FrameSender(wiring.Component):
    """Send frames.

    Members
    -------
    i : In(stream of CONTENT); a frame's bytes one after another
    o : Out(stream of bytes)
    """

    def __init__(self):
        super().__init__(
            {"i": In(stream.Signature(CONTENT)), "o": Out(stream.Signature(unsigned(8)))}
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        m.submodules.checksum = checksum = _Checksum()
        byte, last = Signal(8), Signal()
        crc, tail, left = Signal(32), Signal(), Signal(range(_CRC_BYTES + 1))
        special = (byte == FLAG) | (byte == ESCAPE)
        m.d.comb += checksum.byte.eq(self.i.payload.byte)
        with m.FSM():
            with m.State("BEGIN"):
                m.d.comb += [
                    self.o.payload.eq(FLAG),
                    self.o.valid.eq(self.i.valid),
                    checksum.start.eq(1),
                ]
                with m.If(self.i.valid & self.o.ready):
                    m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += [
                    self.i.ready.eq(~checksum.busy),
                    checksum.valid.eq(self.i.valid & self.i.ready),
                ]
                m.d.sync += [byte.eq(self.i.payload.byte), last.eq(self.i.payload.last)]
                with m.If(checksum.valid):
                    m.next = "BYTE"
            with m.State("BYTE"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(byte)]
                with m.If(special):
                    m.d.comb += self.o.payload.eq(ESCAPE)
                with m.If(self.o.ready):
                    m.next = "NEXT"
                    with m.If(special):
                        m.next = "ESCAPED"
            with m.State("ESCAPED"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(byte ^ INVERTED)]
                with m.If(self.o.ready):
                    m.next = "NEXT"
            with m.State("NEXT"):
                with m.If(tail & (left == 0)):
                    m.next = "END"
                with m.Elif(tail):
                    m.d.sync += [byte.eq(crc[:8]), crc.eq(crc >> 8), left.eq(left - 1)]
                    m.next = "BYTE"
                with m.Elif(~last):
                    m.next = "TAKE"
                with m.Elif(~checksum.busy):
                    m.d.sync += [tail.eq(1), left.eq(_CRC_BYTES), crc.eq(checksum.crc)]
            with m.State("END"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                m.d.sync += tail.eq(0)
                with m.If(self.o.ready):
                    m.next = "BEGIN"
        return m
