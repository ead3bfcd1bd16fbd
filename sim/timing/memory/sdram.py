"""SDRAM behind the project's own controller, exact to the cycle.

The counterpart of :class:`tilewright.hdl.memory.sdram.SDRAMController` and its chip, burst by
burst. An engine's bursts are one piece each. What the controller chooses next depends on both
units, so that a run has an :class:`SDRAMRun` of its own. Each direction has at most one burst that
has not been chosen: the controller takes no further address before, so nothing that comes later can
change the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tilewright.errors import Error, require_type
from tilewright.hdl.lib.skid import SkidBuffer
from tilewright.hdl.memory.banks import Banks
from tilewright.hdl.memory.chip import CHIPS, SDRAMChip
from tilewright.hdl.memory.parameters import SDRAMParameters
from tilewright.hdl.memory.pieces import Pieces
from tilewright.isa import EngineConfig
from tilewright.sim.timing.memory import Answer, Room

__all__ = ["SDRAM", "SDRAMRun"]

_NEVER = 1 << 62


@dataclass(frozen=True)
class SDRAM:
    """A chip, and the controller in front of it.

    Parameters
    ----------
    chip : str, a name in ``tilewright.hdl.memory.chip.CHIPS``
    clock_mhz : float, of engine, controller and chip
    pad_latency : int, 0..4, cycles that registers at the pins take, there and back

    Raises
    ------
    Error
        If there is no such chip, or it is not made for so fast a clock.
    """

    chip: str
    clock_mhz: float
    pad_latency: int = 0

    def __post_init__(self) -> None:
        require_type("SDRAM", "chip", self.chip, str)
        require_type("SDRAM", "clock_mhz", self.clock_mhz, int, float)
        require_type("SDRAM", "pad_latency", self.pad_latency, int)
        if self.chip not in CHIPS:
            raise Error(f"SDRAM: chip must be one of {', '.join(CHIPS)}, not {self.chip!r}")
        if not 0 <= self.pad_latency <= 4:
            raise Error(f"SDRAM: pad_latency must be in 0..4, not {self.pad_latency}")
        try:
            CHIPS[self.chip].cycles(self.clock_mhz)
        except ValueError as error:
            raise Error(f"SDRAM: {error}") from error

    def run(self, config: EngineConfig) -> SDRAMRun:
        """See :class:`tilewright.sim.timing.memory.SharedMemory`."""
        return SDRAMRun(self.parameters(config))

    def parameters(self, config: EngineConfig) -> SDRAMParameters:
        """Return the controller's for an engine's bus.

        Raises
        ------
        Error
            If they do not fit each other.
        """
        try:
            parameters = SDRAMParameters(
                chip=CHIPS[self.chip],
                clock_mhz=self.clock_mhz,
                data_width=config.bus_width,
                pad_latency=self.pad_latency,
            )
        except ValueError as error:
            raise Error(f"{self.chip} behind an engine's bus: {error}") from error
        if config.burst_beats > parameters.geometry.piece_beats:
            raise Error(
                f"burst_beats must be at most {parameters.geometry.piece_beats} with {self.chip}, "
                f"not {config.burst_beats}"
            )
        return parameters


class _Piece(NamedTuple):
    accepted: int
    bank: int
    row: int
    beats: int


class _Cycles:
    """Cycles of beats, counted from the first; only of the last ones it is known which.

    Parameters
    ----------
    first : those of the first beats
    """

    #: As many are kept as no buffer holds, at least.
    KEPT = 1 << 11

    def __init__(self, first: Sequence[int] = ()) -> None:
        self._known = list(first)
        self._gone = 0

    @property
    def count(self) -> int:
        """How many there have been."""
        return self._gone + len(self._known)

    def add(self, cycles: Sequence[int]) -> None:
        """Append those of the next beats."""
        self._known += cycles
        if len(self._known) > 2 * self.KEPT:
            self._gone += self.KEPT
            del self._known[: self.KEPT]

    def of(self, beat: int) -> int:
        """Return that of a beat."""
        return self._known[beat - self._gone]

    def some(self, first: int, count: int) -> list[int]:
        """Return those of some beats."""
        begin = first - self._gone
        return self._known[begin : begin + count]


@dataclass
class _Direction:
    """The burst of one direction that has not been chosen, and when the next one is taken."""

    free: int = 0
    piece: _Piece | None = None


class SDRAMRun:
    """A controller and a chip from cycle 0 on, in which ``align`` is high.

    Parameters
    ----------
    parameters : SDRAMParameters, of the controller

    Attributes
    ----------
    refreshes, activations : int, so far; those of rows are all but refreshes
    """

    #: Cycles from a beat's write into the buffer of read beats until the bus shows it.
    BUFFER = 3 + SkidBuffer.LATENCY
    #: Cycles from the column command of a burst's last beat until the bus confirms it.
    CONFIRM = 2

    def __init__(self, parameters: SDRAMParameters) -> None:
        geometry = parameters.geometry
        # Found once: every burst asks for them.
        self._row_bytes, self._size = geometry.chip.row_bytes, geometry.chip.size_bytes
        self._word_bytes, self._piece_beats = geometry.data_width // 8, geometry.piece_beats
        self._cycles = cycles = parameters.cycles
        self._depth: int = parameters.buffer_beats
        self._words: int = geometry.words
        self._beat_after: int = 1 + cycles.cl + self._words + parameters.pad_latency + self.BUFFER
        self._after = Banks.close_after(geometry, cycles)
        self._open: list[int | None] = [None] * 4
        self._closable = [0] * 4
        self._reads, self._writes = _Direction(), _Direction()
        self._write_next = False
        self._empty = 0  # from when on the opener can take a piece
        self._allowed = 0  # from when on the keeper lets it
        self._due = 1
        self._next_due = 1 + cycles.refresh
        # The piece whose beats are moved: first and last column command, bank.
        self._first, self._final, self._bank = -1, -1, 0
        self._read_from, self._write_from = 0, 0
        # Read beats: asked for by pieces, and when each was taken. Written beats: counted on by
        # pieces, when each was given, and when its column command was.
        self._asked, self._taken = 0, _Cycles()
        self._counted, self._given = 0, _Cycles()
        # Room for written beats: for so many from the start on, then for each whose command was.
        self._room = _Cycles([0] * self._depth)
        self.refreshes, self.activations = 0, 0

    def read(self, cycle: int, address: int, beats: int) -> None:
        """Show a read's address from ``cycle`` on; the read before has been answered."""
        self._take(self._reads, cycle, address, beats)

    def taken(self, cycles: Sequence[int]) -> None:
        """Say when the answered read's beats are taken."""
        self._taken.add(cycles)

    def write(self, cycle: int, address: int, beats: int) -> Room:
        """Show a write's address from ``cycle`` on; the write before has been answered.

        Returns when it is accepted, and from when on each of its beats finds room.
        """
        accepted = self._take(self._writes, cycle, address, beats)
        return Room(accepted, self._room.some(self._given.count, beats))

    def given(self, cycles: Sequence[int]) -> None:
        """Say when the shown write's beats are given."""
        self._given.add(cycles)

    def step(self) -> Answer | None:
        """Choose a burst and answer it; None if there is none."""
        reads, writes = self._fits(self._reads), self._fits(self._writes)
        ready = min(reads, writes)
        if ready == _NEVER:
            return None
        while (cycle := max(self._empty, self._allowed, ready)) >= self._due:
            self._refresh()
        return self._choose(cycle, can_read=reads <= cycle, can_write=writes <= cycle)

    def _take(self, d: _Direction, shown: int, address: int, beats: int) -> int:
        assert d.piece is None
        assert address // self._word_bytes % self._piece_beats + beats <= self._piece_beats
        row = address % self._size // self._row_bytes
        accepted = max(shown, d.free)
        d.piece = _Piece(accepted, row % SDRAMChip.BANKS, row // SDRAMChip.BANKS, beats)
        return accepted

    def _fits(self, d: _Direction) -> int:
        """Return from which cycle on the direction's burst can be chosen, for all it needs."""
        if d.piece is None:
            return _NEVER
        if d is self._writes:
            needed, known = self._counted + d.piece.beats, self._given
        else:
            needed, known = self._asked + d.piece.beats - self._depth, self._taken
        # Room and beats count from the cycle after, and are compared in the cycle before a choice.
        have = known.of(needed - 1) + 1 if needed > 0 else 0
        return max(d.piece.accepted + Pieces.LATENCY, have) + 1

    def _refresh(self) -> None:
        """Refresh when the opener and the mover are done; forget all rows."""
        quiet = max(self._due, self._empty, self._final + 1, *self._closable, self._allowed)
        refresh = quiet + 1 + self._cycles.rp
        self._allowed = refresh + self._cycles.rfc + 1
        self._open = [None] * 4
        self.refreshes += 1
        if refresh >= self._next_due:  # due again before this one began: one does for both
            self._next_due += self._cycles.refresh
        self._due = self._next_due
        self._next_due += self._cycles.refresh

    def _choose(self, cycle: int, *, can_read: bool, can_write: bool) -> Answer:
        write = can_write and (self._write_next or not can_read)
        self._write_next = not write
        d = self._writes if write else self._reads
        piece = d.piece
        assert piece is not None
        d.piece, d.free = None, cycle + 1
        columns = self._move(self._opened(cycle + 1, piece), piece, write)
        if write:
            self._counted += piece.beats
            self._room.add(range(columns.start + 1, columns.stop + 1, columns.step))
            return Answer(write, piece.accepted, (columns[-1] + self.CONFIRM,))
        self._asked += piece.beats
        after = self._beat_after
        beats = range(columns.start + after, columns.stop + after, columns.step)
        return Answer(write, piece.accepted, beats)

    def _opened(self, look: int, piece: _Piece) -> int:
        """Return from when on the piece's row is open and the opener offers it."""
        cycles, bank = self._cycles, piece.bank
        if self._open[bank] == piece.row:
            return look + 1
        opens = look + 1
        if self._open[bank] is not None:
            if self._bank == bank:
                look = max(look, self._final + 1)
            closes = self._slot(max(look + 1, self._closable[bank]))
            opens = closes + cycles.rp
        active = self._slot(opens)
        self.activations += 1
        self._open[bank] = piece.row
        self._closable[bank] = active + self._after[0]
        return active + max(1, cycles.rcd - 1)

    def _slot(self, cycle: int) -> int:
        """Return the first cycle from ``cycle`` on without a column command."""
        if self._first <= cycle <= self._final and (cycle - self._first) % self._words == 0:
            return cycle + 1
        return cycle

    def _move(self, ready: int, piece: _Piece, write: bool) -> range:
        """Return the cycles of the piece's column commands, each of which moves a beat."""
        words, cycles = self._words, self._cycles
        handed = max(ready, self._final)
        first = max(handed + 1, self._write_from if write else self._read_from)
        final = first + (piece.beats - 1) * words
        self._first, self._final, self._bank = first, final, piece.bank
        self._empty = handed + 1
        self._read_from = final + words
        self._write_from = final + words + (0 if write else cycles.cl + 1)
        after = self._after[2 if write else 1]
        self._closable[piece.bank] = max(self._closable[piece.bank], final + after)
        return range(first, final + 1, words)
