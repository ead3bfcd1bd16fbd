"""What goes over the line between a host and a board: frames, requests and replies.

A frame is ``FLAG``, its bytes, ``FLAG``. Within it, ``FLAG`` and ``ESCAPE`` are sent as ``ESCAPE``
and the byte with bit 5 inverted, so that a receiver finds the next frame after any garbage. Its
last four bytes are the CRC-32 of those before (as of Ethernet and zlib, least significant byte
first); what has another one is dropped, as is a frame of less than ``OVERHEAD`` bytes.

=======  ======================================================================================
request  sequence number, :class:`Operation`, four bytes of address, up to ``BLOCK`` of payload
reply    sequence number, :class:`Answer`, payload
=======  ======================================================================================

Numbers are little-endian. A board carries out each sequence number once, in order: see
:class:`tilewright.boards.link.bridge.HostBridge` and :mod:`tilewright.boards.link.exchange`.
"""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass

FLAG, ESCAPE, INVERTED = 0x7E, 0x7D, 0x20
#: Bytes of payload at most, and of sequence number, operation and CRC of any frame.
BLOCK, OVERHEAD = 256, 6
#: The CRC-32 of bytes and their CRC-32.
RESIDUE = 0x2144DF1C


class Operation(enum.IntEnum):
    """What a request asks for; addresses are in bytes, multiples of 4."""

    HELLO = 0  # address: any number, of this session; payload: none
    READ_MEMORY = 1  # payload: number of bytes less 1, one byte; a multiple of 4
    WRITE_MEMORY = 2  # payload: the bytes, a multiple of 4
    READ_REGISTER = 3  # payload: none
    WRITE_REGISTER = 4  # payload: 4 bytes

    @property
    def writes(self) -> bool:
        """Whether it must not be carried out twice."""
        return self in (Operation.WRITE_MEMORY, Operation.WRITE_REGISTER)


class Answer(enum.IntEnum):
    """What a reply says."""

    #: Payload: what was read. Of HELLO: the session, log2 of FIFO and memory bytes, the sequence
    #: number that is expected.
    DONE = 0
    EXPECTED = 1  # the sequence number is the one that the board waits for; nothing was done


@dataclass(frozen=True)
class Request:
    """Something that the board is to do.

    Parameters
    ----------
    address : int, 0 <= address < 2**32
    payload : as :class:`Operation` says
    """

    operation: Operation
    address: int
    payload: bytes = b""

    @property
    def reply_bytes(self) -> int:
        """Bytes of payload that its reply has."""
        match self.operation:
            case Operation.HELLO:
                return 7
            case Operation.READ_MEMORY:
                return self.payload[0] + 1
            case Operation.READ_REGISTER:
                return 4
        return 0

    def encode(self, sequence: int) -> bytes:
        """Return its frame."""
        head = bytes([sequence, self.operation]) + self.address.to_bytes(4, "little")
        return encode_frame(head + self.payload)


def encode_frame(content: bytes) -> bytes:
    """Return content and its CRC as a frame."""
    content += zlib.crc32(content).to_bytes(4, "little")
    content = content.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPE ^ INVERTED]))
    content = content.replace(bytes([FLAG]), bytes([ESCAPE, FLAG ^ INVERTED]))
    return bytes([FLAG]) + content + bytes([FLAG])


class Deframer:
    """Finds frames in a stream of bytes."""

    #: Longest frame that is still looked at: of a request, and before that its escapes are undone.
    LONGEST = BLOCK + 6 + OVERHEAD

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._escaped = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the contents of the sound frames that they complete."""
        found = []
        for byte in data:
            if byte == FLAG:
                frame = bytes(self._bytes)
                if OVERHEAD <= len(frame) <= self.LONGEST and not self._escaped:
                    content, crc = frame[:-4], int.from_bytes(frame[-4:], "little")
                    if zlib.crc32(content) == crc:
                        found.append(content)
                self._bytes.clear()
                self._escaped = False
            elif byte == ESCAPE and not self._escaped:
                self._escaped = True
            elif len(self._bytes) <= self.LONGEST:
                self._bytes.append(byte ^ INVERTED if self._escaped else byte)
                self._escaped = False
        return found
