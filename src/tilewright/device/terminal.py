"""A line behind a pseudo-terminal: a simulated board as a serial port, for any program."""

from __future__ import annotations

import os
import pty
import select
import threading
import tty
from types import TracebackType
from typing import Self

from tilewright.boards.link.transport import Line

__all__ = ["Terminal"]

_CHUNK = 4096  # bytes
_WAIT = 0.05  # seconds, after which it looks whether it is to end


class Terminal:
    """A serial port whose other end is a line.

    Parameters
    ----------
    line : Line; its reads are to return soon when nothing comes
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._ours, theirs = pty.openpty()
        tty.setraw(theirs)
        self.path = os.ttyname(theirs)  #: of the port
        os.close(theirs)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Pull the cable: who has the port open gets an error."""
        if not self._ended.is_set():
            self._ended.set()
            self._thread.join()
            os.close(self._ours)

    def _carry(self) -> None:
        """Carry bytes both ways until the end."""
        while not self._ended.is_set():
            ready, _, _ = select.select([self._ours], [], [], _WAIT)
            if not ready:
                continue
            try:
                data = os.read(self._ours, _CHUNK)
            except OSError:  # nobody has the port open
                self._ended.wait(_WAIT)
                continue
            self._line.write(data)
            while answer := self._line.read(_CHUNK):
                os.write(self._ours, answer)
