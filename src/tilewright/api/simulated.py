"""A board that is not there: its whole system in Verilator."""

from __future__ import annotations

from tilewright.boards import Board
from tilewright.boards.system import TOP, simulated_verilog
from tilewright.sim.rtl import SimulatedBoard
from tilewright.sim.timing import SDRAM

__all__ = ["SIMULATED_DIVISOR", "simulated_board"]

#: Clock cycles per bit: as few as the receiver takes, since the simulation goes through each.
SIMULATED_DIVISOR = 4


def simulated_board(
    board: Board, *, divisor: int = SIMULATED_DIVISOR, timeout_cycles: int = 20_000_000
) -> SimulatedBoard:
    """Return a board, switched on: engine, memory, host link.

    Parameters
    ----------
    board : Board, one of ``tilewright.boards.BOARDS`` or one with another engine
    divisor : int, at least 4, clock cycles per bit of its serial line
    timeout_cycles : int, without a byte, after which a read gives up

    Raises
    ------
    Error
        If a tool is missing or fails.
    """
    sdram = board.sdram
    return SimulatedBoard(
        board.engine,
        verilog=simulated_verilog(board, divisor=divisor),
        top=TOP,
        divisor=divisor,
        timeout_cycles=timeout_cycles,
        sdram=None if sdram is None else SDRAM(sdram.chip, board.clock_mhz, sdram.PAD_LATENCY),
    )
