"""Boards by address."""

from __future__ import annotations

from tilewright.boards import BOARDS, get_board
from tilewright.boards.link.host import HostLink, LinkError, ports_here
from tilewright.device.driver import Device
from tilewright.errors import Error, require_type

#: Cycles of a simulated board without a byte after which a read gives up.
_SILENT_CYCLES = 20_000
#: Greetings at each rate.
_ATTEMPTS = 10


def connect(address: str) -> Device:
    """Connect to a board that has a Tilewright system.

    Parameters
    ----------
    address : str
        ``serial:PORT``, such as ``serial:/dev/ttyUSB0``: a serial port, at the rate of one of the
        boards. ``sim:BOARD``, such as ``sim:ulx3s-12f``: the board's whole system in Verilator,
        from the bits of its serial line to the pins of its memory.

    Raises
    ------
    Error
        If there is no such board or port, or nothing answers; the message says what to do.
    """
    require_type("connect", "address", address, str)
    kind, _, rest = address.partition(":")
    if kind == "serial" and rest:
        return Device(_open(rest), name=address)
    if kind == "sim" and rest:
        from tilewright.api.simulated import simulated_board  # needs a C++ compiler

        line = simulated_board(get_board(rest), timeout_cycles=_SILENT_CYCLES)
        return Device(HostLink(line, patience=0.0), name=address, trace=line)
    boards = ", ".join(BOARDS.all())
    raise Error(f"a device is serial:PORT or sim:BOARD ({boards}), not {address!r}")


def _open(port: str) -> HostLink:
    """Open a port at the first rate at which a board answers."""
    rates = sorted({board.baud for board in BOARDS.all().values()}, reverse=True)
    for rate in rates:
        try:
            return HostLink.open(port, rate, attempts=_ATTEMPTS)
        except LinkError as error:
            if "no answer" not in str(error) and "damaged" not in str(error):
                raise
    tried = ", ".join(f"{rate:,}" for rate in rates)
    raise LinkError(
        f"nothing on {port} answers at {tried} baud: is the board powered, and configured "
        f"(tilewright flash)?{ports_here()}"
    )
