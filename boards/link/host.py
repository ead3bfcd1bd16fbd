"""The host's side of a board's serial line."""

from __future__ import annotations

import time

import numpy as np
import serial
from numpy.typing import NDArray

from tilewright.boards.board import MEMORY_BYTES
from tilewright.boards.link.transport import Line
from tilewright.boards.system import BAUD
from tilewright.errors import Error
from tilewright.isa.registers import OFFSET, Status


class LinkError(Error):
    """The board does not answer as it should."""


class HostLink:
    """Registers and memory of a board; see :class:`tilewright.boards.link.bridge.HostBridge`.

    Parameters
    ----------
    line : an open serial port, or anything that reads and writes bytes
    """

    def __init__(self, line: Line) -> None:
        self._line = line

    @classmethod
    def open(cls, port: str) -> HostLink:
        """Open a serial port such as ``/dev/ttyUSB0``.

        Raises
        ------
        LinkError
            If there is no such port.
        """
        try:
            return cls(serial.Serial(port, BAUD, timeout=1.0))
        except serial.SerialException as error:
            raise LinkError(f"cannot open {port}: {error}") from error

    def _ask(self, request: bytes, size: int) -> bytes:
        self._line.write(request)
        answer = self._line.read(size)
        if len(answer) != size:
            raise LinkError(f"{len(answer)} of {size} bytes came back: is the board configured?")
        return answer

    def read(self, kind: bytes, address: int) -> int:
        """Return a word of a register (``R``) or of memory (``r``)."""
        return int.from_bytes(self._ask(kind + address.to_bytes(4, "little"), 4), "little")

    def write(self, kind: bytes, address: int, value: int) -> None:
        """Write a word to a register (``W``) or to memory (``w``)."""
        request = kind + address.to_bytes(4, "little") + value.to_bytes(4, "little")
        if self._ask(request, 1) != b"K":
            raise LinkError("the board did not confirm a write")

    def _status(self) -> Status:
        code = self.read(b"R", OFFSET["STATUS"]) & 0xFF
        try:
            return Status(code)
        except ValueError as error:
            raise LinkError(
                f"the board's STATUS register holds {code}, which no engine does: another design "
                "is configured, or bytes were lost on the line"
            ) from error

    def run(
        self, memory: NDArray[np.uint8], program: int, count: int, *, timeout: float = 10.0
    ) -> NDArray[np.uint8]:
        """Run a program whose memory image is ``memory`` and return the image afterwards.

        Raises
        ------
        LinkError
            If the image is larger than the board's memory, or the engine stops with an error, or
            not at all.
        """
        if memory.size > MEMORY_BYTES:
            raise LinkError(
                f"the program takes {memory.size} bytes, the board's memory has {MEMORY_BYTES}"
            )
        for offset in range(0, memory.size, 4):
            word = int.from_bytes(memory[offset : offset + 4].tobytes(), "little")
            self.write(b"w", offset, word)
        for name, value in (("BASE", 0), ("PROGRAM", program), ("COUNT", count), ("CONTROL", 1)):
            self.write(b"W", OFFSET[name], value)
        limit = time.monotonic() + timeout
        while (status := self._status()) is Status.RUNNING:
            if time.monotonic() > limit:
                raise LinkError(f"the engine is still running after {timeout:g} s")
        if status is not Status.DONE:
            raise LinkError(f"the engine stopped with {status.name}")
        words = [self.read(b"r", offset) for offset in range(0, memory.size, 4)]
        return np.array(words, "<u4").view(np.uint8)
