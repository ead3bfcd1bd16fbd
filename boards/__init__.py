"""Boards, and the way from an engine to a bitstream.

``board``     what a board is
``catalog``   the boards: a module each, found by being there
``family``    what differs between families of FPGAs, and
``families``  the families: a module each, found by being there
``ecp5_pll``  an ECP5's PLLs
``sdram``     an SDRAM: which, and where its pins are; ``usb``, of a USB connector
``pads``      what is between them and the system
``system``    what goes on a board: engine, memory, host link
``link``      the host link
``flow``      Yosys, nextpnr, bitstream, and what they report
"""

from tilewright.boards.board import Board
from tilewright.registry import Registry

BOARDS = Registry("tilewright.boards.catalog", "BOARDS", Board, "board")


def get_board(name: str) -> Board:
    """Return the board of a name.

    Raises
    ------
    Error
        If there is none; the message lists those there are.
    """
    return BOARDS.get(name)


__all__ = ["BOARDS", "Board", "get_board"]
