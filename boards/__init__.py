"""Boards, and the way from an engine to a bitstream.

``board``   what a board is
``ulx3s``, ``icebreaker``   the boards, one declarative file per family
``system``  what goes on a board: engine, memory, host link
``flow``    Yosys, nextpnr, bitstream, and what they report
"""

from tilewright.boards.board import Board
from tilewright.boards.icebreaker import ICEBREAKER
from tilewright.boards.ulx3s import ULX3S_12F, ULX3S_85F
from tilewright.errors import Error

BOARDS = {board.name: board for board in (ULX3S_85F, ULX3S_12F, ICEBREAKER)}


def get_board(name: str) -> Board:
    """Return the board of a name.

    Raises
    ------
    Error
        If there is none; the message lists those there are.
    """
    if name not in BOARDS:
        raise Error(f"there is no board {name!r}; there are {', '.join(sorted(BOARDS))}")
    return BOARDS[name]


__all__ = ["BOARDS", "Board", "get_board"]
