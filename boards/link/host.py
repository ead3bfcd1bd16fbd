"""A board's registers and memory, from a host at the other end of its serial line."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import serial

from tilewright.boards.link.exchange import ATTEMPTS, Exchange, Hello, LinkError, Statistics
from tilewright.boards.link.frames import BLOCK, Operation, Request
from tilewright.boards.link.transport import Line
from tilewright.isa.registers import OFFSET

__all__ = ["HostLink", "LinkError", "ports_here"]

Progress = Callable[[int], None]
#: Requests after which the size of blocks is chosen anew: on a good line, and on a bad one.
_BATCH, _SHORT_BATCH = 64, 8
#: A block of more than so many bytes is tried a few times, then blocks of half as many.
_SMALL, _FEW_ATTEMPTS = 16, 6
_READ_TIMEOUT = 0.02  # seconds; a serial port's, above the latency timer of its chip


def _reason(error: Exception) -> str:
    """Return why a port does not open, and what to do."""
    number = getattr(error, "errno", None)
    text = str(error)
    if number == errno.ENOENT:
        return f"there is no such port{ports_here()}"
    if number == errno.EACCES:
        return "permission denied: sudo usermod -aG dialout $USER, and log in again"
    if number in (errno.EAGAIN, errno.EBUSY) or "exclusively lock" in text:
        return "another program uses it: wait for it, or end it"
    if number == errno.ENOTTY or "Could not configure" in text:
        return f"it is no serial port{ports_here()}"
    return f"{text}{ports_here()}"


def ports_here() -> str:
    """Return the serial ports that there are, for a message."""
    ports = sorted(str(path) for path in Path("/dev").glob("tty[UA][SC][BM]*"))
    return f"; ports here: {', '.join(ports)}" if ports else "; there is none here: plug a board in"


class HostLink:
    """Registers and memory; see :class:`tilewright.boards.link.bridge.HostBridge`.

    Parameters
    ----------
    line : an open serial port, or anything that reads and writes bytes
    patience : seconds without a byte before requests are sent again
    attempts : greetings before nobody is there

    Raises
    ------
    LinkError
        If nothing answers; so do all methods.
    """

    def __init__(self, line: Line, *, patience: float = 0.1, attempts: int = ATTEMPTS) -> None:
        self._line = line
        self._exchange = Exchange(line, patience=patience)
        self.board: Hello = self._exchange.hello(attempts)

    @classmethod
    def open(cls, port: str, baud: int, *, attempts: int = ATTEMPTS) -> HostLink:
        """Open a serial port such as ``/dev/ttyUSB0``; greet the board so many times.

        Raises
        ------
        LinkError
            If there is no such port, or nothing answers.
        """
        try:
            line = serial.Serial(port, baud, timeout=_READ_TIMEOUT, exclusive=True)
        except (serial.SerialException, ValueError) as error:
            raise LinkError(f"cannot open {port}: {_reason(error)}") from error
        try:
            return cls(line, attempts=attempts)
        except LinkError:
            line.close()
            raise

    def close(self) -> None:
        """Close the port, if it can be closed."""
        getattr(self._line, "close", lambda: None)()

    @property
    def statistics(self) -> Statistics:
        """What has been sent and seen so far."""
        return self._exchange.statistics

    def read_registers(self, *names: str) -> list[int]:
        """Return registers' words, by their names in :mod:`tilewright.isa.registers`."""
        requests = [Request(Operation.READ_REGISTER, OFFSET[name]) for name in names]
        return [int.from_bytes(x, "little") for x in self._exchange.run(requests)]

    def write_registers(self, **words: int) -> None:
        """Write registers, in order."""
        self._exchange.run(
            [
                Request(Operation.WRITE_REGISTER, OFFSET[name], word.to_bytes(4, "little"))
                for name, word in words.items()
            ]
        )

    def read_memory(
        self, address: int, size: int, progress: Progress = lambda count: None
    ) -> bytes:
        """Return ``size`` bytes from ``address`` on; both multiples of 4.

        ``progress`` is called with the number of bytes since the last call.
        """
        self._check(address, size)
        found = bytearray()

        def read(done: int, block: int, batch: int) -> list[Request]:
            return [
                Request(
                    Operation.READ_MEMORY, address + place, bytes([min(block, size - place) - 1])
                )
                for place in range(done, size, block)[:batch]
            ]

        self._move(size, read, lambda parts: found.extend(b"".join(parts)), progress)
        return bytes(found)

    def write_memory(
        self, address: int, data: bytes, progress: Progress = lambda count: None
    ) -> None:
        """Write bytes from ``address`` on; address and length are multiples of 4.

        ``progress`` is called with the number of bytes since the last call.
        """
        self._check(address, len(data))

        def write(done: int, block: int, batch: int) -> list[Request]:
            return [
                Request(Operation.WRITE_MEMORY, address + place, data[place : place + block])
                for place in range(done, len(data), block)[:batch]
            ]

        self._move(len(data), write, lambda parts: None, progress)

    def _move(
        self,
        size: int,
        requests: Callable[[int, int, int], list[Request]],
        take: Callable[[list[bytes]], None],
        progress: Progress,
    ) -> None:
        """Move bytes in blocks as long as the line bears.

        ``requests`` returns those from a byte on, by the length of blocks and their number.
        """
        done, largest = 0, BLOCK
        while done < size:
            block = min(self._exchange.block, largest)
            batch = requests(done, block, _BATCH if block == BLOCK else _SHORT_BATCH)
            few = block > _SMALL
            try:
                parts = self._exchange.run(batch, attempts=_FEW_ATTEMPTS if few else ATTEMPTS)
            except LinkError:
                if not few:
                    raise
                largest = block // 2 // 4 * 4  # the session that follows may write it once more
                continue
            take(parts)
            moved = min(block * len(batch), size - done)
            done, largest = done + moved, min(2 * largest, BLOCK)
            progress(moved)

    def _check(self, address: int, size: int) -> None:
        assert address % 4 == size % 4 == 0, (address, size)
        if address + size > self.board.memory_bytes:
            raise LinkError(
                f"{address + size} bytes of memory are needed; the board's memory has "
                f"{self.board.memory_bytes}"
            )
