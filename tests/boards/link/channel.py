"""A model of the board's end of the link, behind a line that loses, changes and invents bytes."""

import random
from dataclasses import dataclass

from tilewright.boards.link.frames import Answer, Deframer, Operation, encode_frame

_WORD = 4


class Board:
    """Does what :class:`tilewright.boards.link.bridge.HostBridge` does.

    ``memory`` is a bytearray, ``registers`` a dict of words by offset; ``wrote`` is told of each
    register that is written, with its offset and word.
    """

    def __init__(self, memory_bytes=1 << 16, fifo_bytes=512, wrote=lambda offset, word: None):
        self.memory, self.registers = bytearray(memory_bytes), {}
        self.fifo_bytes = fifo_bytes
        self._wrote = wrote
        self._deframer = Deframer()
        self._expected, self._session = 0, 0
        self.done = 0  # writes that were carried out

    def feed(self, data):
        """Take bytes; return the answers."""
        return b"".join(map(self._answer, self._deframer.feed(data)))

    def _answer(self, frame):
        if len(frame) < 6:
            return b""
        sequence, operation, address = frame[0], frame[1], int.from_bytes(frame[2:6], "little")
        payload = frame[6:]
        sizes = {
            Operation.HELLO: not payload,
            Operation.READ_MEMORY: len(payload) == 1,
            Operation.WRITE_MEMORY: payload and len(payload) % _WORD == 0,
            Operation.READ_REGISTER: not payload,
            Operation.WRITE_REGISTER: len(payload) == _WORD,
        }
        if not sizes.get(operation):
            return b""
        if operation == Operation.HELLO:
            if address & 0xFF != self._session:
                self._session, self._expected = address & 0xFF, sequence + 1 & 0xFF
            logs = [x.bit_length() - 1 for x in (self.fifo_bytes, len(self.memory))]
            return self._reply(sequence, frame[2:6] + bytes([*logs, self._expected]))
        behind = self._expected - 1 - sequence & 0xFF
        fresh = sequence == self._expected
        if not fresh and behind >= 128:
            return encode_frame(bytes([self._expected, Answer.EXPECTED]))
        if fresh:
            self._expected = sequence + 1 & 0xFF
        if operation == Operation.READ_MEMORY:
            return self._reply(sequence, self.memory[address : address + payload[0] + 1])
        if operation == Operation.READ_REGISTER:
            word = self.registers.get(address, 0)
            return self._reply(sequence, word.to_bytes(_WORD, "little"))
        if fresh:
            self.done += 1
            if operation == Operation.WRITE_MEMORY:
                self.memory[address : address + len(payload)] = payload
            else:
                word = int.from_bytes(payload, "little")
                self.registers[address] = word
                self._wrote(address, word)
        return self._reply(sequence, b"")

    @staticmethod
    def _reply(sequence, payload):
        return encode_frame(bytes([sequence, Answer.DONE]) + bytes(payload))


@dataclass(frozen=True)
class Faults:
    """How often each byte has each fault."""

    flipped: float = 0.0
    dropped: float = 0.0
    doubled: float = 0.0
    invented: float = 0.0

    def apply(self, data, rng):
        """Return what arrives of bytes."""
        if not any((self.flipped, self.dropped, self.doubled, self.invented)):
            return data
        arrived = bytearray()
        for byte in data:
            if rng.random() < self.invented:
                arrived.append(rng.getrandbits(8))
            if rng.random() < self.dropped:
                continue
            if rng.random() < self.flipped:
                byte ^= 1 << rng.randrange(8)
            arrived.append(byte)
            if rng.random() < self.doubled:
                arrived.append(byte)
        return bytes(arrived)


class Channel:
    """A serial port whose other end is a :class:`Board`, with faults both ways.

    ``cut``: after so many bytes the line is gone, or silent if ``silent``.
    """

    def __init__(self, board, faults=Faults(), seed=0, *, cut=None, silent=False):
        self.board, self.faults, self.rng = board, faults, random.Random(seed)
        self._answers = bytearray()
        self.sent = self.received = 0
        self._cut, self._silent = cut, silent

    def write(self, data):
        self.sent += len(data)
        if self._cut is not None and self.sent > self._cut:
            if self._silent:
                return
            raise OSError("the device is not there any more")
        answer = self.board.feed(self.faults.apply(data, self.rng))
        self._answers += self.faults.apply(answer, self.rng)

    def read(self, size):
        data = bytes(self._answers[:size])
        del self._answers[:size]
        self.received += len(data)
        return data
