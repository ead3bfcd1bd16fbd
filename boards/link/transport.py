"""What is at both ends of the host link, so that each can be replaced by itself.

::

    driver -- framing -- Line ~~~ bytes, both ways ~~~ device end -- HostPort -- memory
                                                            +------- AXI4-Lite -- registers

A :class:`Line` is a serial port of a real board or of a simulated one. The device end is a
component with a stream of bytes that come (``i``) and one of bytes that go (``o``). It accesses
memory word by word through a :class:`~tilewright.hdl.memory.host.HostPort` (``memory``), also while
the engine runs, and registers through AXI4-Lite (``axil``).
:class:`~tilewright.boards.system.System` puts a UART at its streams.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Line"]


class Line(Protocol):
    """Bytes in both directions, some of which may be lost or wrong; ``serial.Serial`` is one.

    A simulated board's time passes while its line is read.
    """

    def write(self, data: bytes, /) -> int | None:
        """Send bytes; ``OSError`` if the line is gone."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, fewer after the line's time-out; ``OSError`` if gone."""
