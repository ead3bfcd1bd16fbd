"""What a program is compiled for."""

from __future__ import annotations

from dataclasses import dataclass, field

from tilewright.boards import get_board
from tilewright.errors import ArgumentError, Error, require_type
from tilewright.hdl.families import get_family
from tilewright.isa import EngineConfig
from tilewright.sim.timing import SDRAM, LargeMemory, MemoryTiming
from tilewright.sim.timing.memory import SharedMemory

MAX_CLOCK_MHZ = 10_000


def require_target(owner: str, value: object) -> None:
    """Refuse what is no target, saying how one is made.

    Raises
    ------
    ArgumentError
        Naming ``owner``.
    """
    if isinstance(value, str):
        raise ArgumentError(
            f"{owner}: target must be a Target, not {value!r}: pass tw.Target.from_board({value!r})"
        )
    if isinstance(value, EngineConfig):
        raise ArgumentError(
            f"{owner}: target must be a Target, not an engine: pass tw.Target(engine=...)"
        )
    require_type(owner, "target", value, Target)


@dataclass(frozen=True, kw_only=True)
class Target:
    """An engine, the memory behind it, and the board that carries them, if any.

    Parameters
    ----------
    engine : EngineConfig
    memory : MemoryTiming, SDRAM or LargeMemory
        What simulation assumes: latencies in cycles, a chip behind its controller, or the FPGA's
        own large memories.
    clock_mhz : float
    board : str or None, a name in ``tilewright.boards.BOARDS``

    Raises
    ------
    Error
        If a parameter is of another type or out of range, or the engine's family has no such
        engine; the message names it.
    """

    engine: EngineConfig = field(default_factory=EngineConfig)
    memory: MemoryTiming | SDRAM | LargeMemory = field(default_factory=MemoryTiming)
    clock_mhz: float = 100.0
    board: str | None = None

    def __post_init__(self) -> None:
        require_type("Target", "engine", self.engine, EngineConfig)
        require_type("Target", "memory", self.memory, MemoryTiming, SDRAM, LargeMemory)
        require_type("Target", "clock_mhz", self.clock_mhz, int, float)
        require_type("Target", "board", self.board, str, type(None))
        if isinstance(self.memory, SharedMemory):
            self.memory.run(self.engine)  # or an error
        if not 0 < self.clock_mhz <= MAX_CLOCK_MHZ:
            raise Error(
                f"Target: clock_mhz must be above 0 and at most {MAX_CLOCK_MHZ}, not "
                f"{self.clock_mhz}"
            )
        if self.board is not None:
            get_board(self.board)
        get_family(self.engine.dsp).check(self.engine)

    @classmethod
    def from_board(cls, name: str) -> Target:
        """Return the default engine of a board, and the board's memory.

        Raises
        ------
        Error
            If there is no such board; the message lists those there are.
        """
        board = get_board(name)
        memory: MemoryTiming | SDRAM | LargeMemory = MemoryTiming()
        if board.sdram is not None:
            memory = SDRAM(board.sdram.chip, board.clock_mhz, board.sdram.PAD_LATENCY)
        elif get_family(board.engine.dsp).large_bytes:
            memory = LargeMemory(board.engine.dsp)
        return cls(engine=board.engine, memory=memory, clock_mhz=board.clock_mhz, board=name)
