"""What a program is compiled for."""

from __future__ import annotations

from dataclasses import dataclass, field

from tilewright.boards import get_board
from tilewright.isa import EngineConfig
from tilewright.sim.timing import MemoryTiming


@dataclass(frozen=True, kw_only=True)
class Target:
    """An engine, the memory behind it, and the board that carries them, if any.

    Parameters
    ----------
    engine : EngineConfig
    memory : MemoryTiming
        Latencies that simulation assumes, in cycles.
    clock_mhz : float
    board : str or None, a name in ``tilewright.boards.BOARDS``
    """

    engine: EngineConfig = field(default_factory=EngineConfig)
    memory: MemoryTiming = field(default_factory=MemoryTiming)
    clock_mhz: float = 100.0
    board: str | None = None

    @classmethod
    def from_board(cls, name: str) -> Target:
        """Return the default engine of a board.

        Raises
        ------
        Error
            If there is no such board; the message lists those there are.
        """
        board = get_board(name)
        return cls(engine=board.engine, clock_mhz=board.clock_mhz, board=name)
