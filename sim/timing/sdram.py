"""Exact timing of the SDRAM controller and its chip, piece by piece.

The counterpart of :class:`tilewright.hdl.memory.sdram.SDRAMController`: told when addresses are
shown and beats are given and taken, it says when addresses are accepted, beats come and writes are
confirmed. Everything is a cycle; the cycle in which a register first shows a value counts, as
in the components' documentation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tilewright.hdl.memory.banks import Banks
from tilewright.hdl.memory.pieces import Pieces
from tilewright.hdl.memory.sdram import SDRAMController

__all__ = ["SDRAMTiming"]

_NEVER = 1 << 62


@dataclass
class _Burst:
    address: int
    beats: int
    #: Called with the cycles from which on each beat of a piece can be taken (read), or with the
    #: cycle in which the whole burst is confirmed (write).
    answer: Callable[[list[int]], None]


@dataclass
class _Direction:
    """Bursts of one direction, cut one after another."""

    bursts: deque[tuple[int, _Burst]] = field(default_factory=deque)  # not yet taken, shown from
    free: int = 0  # first cycle in which a burst is taken
    burst: _Burst | None = None
    at: int = 0
    left: int = 0
    valid: int = _NEVER  # first cycle in which the piece is shown


@dataclass(frozen=True)
class _Piece:
    bank: int
    row: int
    beats: int
    last: bool


class SDRAMTiming:
    """A controller and a chip after ``align`` in cycle 0.

    Requests come in the order of their cycles, and none before :attr:`now`. Answers are given
    by calls, as soon as nothing that comes later can change them.

    Parameters
    ----------
    controller : SDRAMController    for its parameters
    """

    #: Cycles from a beat's write into the buffer of read beats until the bus shows it.
    BUFFER = 2

    def __init__(self, controller: SDRAMController) -> None:
        self._geometry = controller.geometry
        self._cycles = cycles = controller.cycles
        self._depth = controller.buffer_beats
        self._words = words = self._geometry.words
        self._beat_after = 1 + cycles.cl + words + controller.pad_latency + self.BUFFER
        self._after = Banks.close_after(self._geometry, cycles)
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
        self._room: deque[int] = deque()  # cycles from which on a read beat's place is free again
        self._free_places = self._depth
        self._given: deque[int] = deque()  # cycles from which on a written beat counts
        self._waiting = 0
        self.now = 0
        self.refreshes = 0

    def read(
        self, cycle: int, address: int, beats: int, answer: Callable[[list[int]], None]
    ) -> None:
        """Show the address of a read from ``cycle`` on."""
        self._reads.bursts.append((cycle, _Burst(address, beats, answer)))

    def write(
        self, cycle: int, address: int, beats: int, answer: Callable[[list[int]], None]
    ) -> None:
        """Show the address of a write from ``cycle`` on."""
        self._writes.bursts.append((cycle, _Burst(address, beats, answer)))

    def taken(self, cycle: int) -> None:
        """Say that a read beat was taken in ``cycle``."""
        self._room.append(cycle + 1)

    def given(self, cycle: int) -> None:
        """Say that a beat to be written was given in ``cycle``."""
        self._given.append(cycle + 1)

    def advance(self, until: int) -> None:
        """Choose all pieces that are chosen before ``until``: nothing earlier will be told."""
        while (cycle := self._next_choice(until)) is not None:
            self._choose(cycle)
        self.now = max(self.now, until)

    def _cut(self, d: _Direction, until: int) -> None:
        """Take the next burst and show its first piece, if that happens before ``until``."""
        if d.burst is None and d.bursts:
            shown, burst = d.bursts[0]
            taken = max(shown, d.free)
            if taken < until:
                d.bursts.popleft()
                d.burst, d.at, d.left = burst, burst.address, burst.beats
                d.valid = taken + Pieces.LATENCY

    def _piece(self, d: _Direction) -> _Piece:
        g = self._geometry
        bytes_per_beat = g.data_width // 8
        index = d.at // bytes_per_beat % g.piece_beats
        beats = min(d.left, g.piece_beats - index)
        row_bytes = g.chip.row_bytes
        place = d.at % g.chip.size_bytes // row_bytes
        return _Piece(place % 4, place // 4, beats, beats == d.left)

    def _next_choice(self, until: int) -> int | None:
        """Return the cycle of the next choice, if it is before ``until``."""
        cycle = max(self._empty, self._allowed)
        while cycle < until:
            if cycle >= self._due:
                self._refresh()
                cycle = max(self._empty, self._allowed)
                continue
            self._cut(self._reads, until)
            self._cut(self._writes, until)
            ready = min(
                (self._fits(self._reads, cycle, self._free_places, self._room)),
                (self._fits(self._writes, cycle, self._waiting, self._given)),
            )
            if ready >= until:
                if ready > self._due and self._due < until:
                    cycle = self._due
                    continue
                return None
            if ready > cycle:
                cycle = ready
                continue
            return cycle
        return None

    def _fits(self, d: _Direction, cycle: int, have: int, more: deque[int]) -> int:
        """Return from which cycle on the direction's piece can be chosen."""
        if d.burst is None:
            return _NEVER
        need = self._piece(d).beats - have
        if need > len(more):
            return _NEVER
        return max(cycle, d.valid + 1, more[need - 1] + 1 if need > 0 else 0)

    def _count(self, cycle: int) -> None:
        """Count what has been taken and given as of ``cycle``."""
        while self._room and self._room[0] <= cycle:
            self._room.popleft()
            self._free_places += 1
        while self._given and self._given[0] <= cycle:
            self._given.popleft()
            self._waiting += 1

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

    def _choose(self, cycle: int) -> None:
        self._count(cycle)
        can_read = self._fits(self._reads, cycle, self._free_places, self._room) <= cycle
        can_write = self._fits(self._writes, cycle, self._waiting, self._given) <= cycle
        write = can_write and (self._write_next or not can_read)
        self._write_next = not write
        d = self._writes if write else self._reads
        piece = self._piece(d)
        if write:
            self._waiting -= piece.beats
        else:
            self._free_places -= piece.beats
        burst = d.burst
        assert burst is not None
        d.at += piece.beats * self._geometry.data_width // 8
        d.left -= piece.beats
        if piece.last:
            d.burst, d.valid, d.free = None, _NEVER, cycle + 1
        else:
            d.valid = cycle + Pieces.LATENCY
        self._move(self._opened(cycle + 1, piece), piece, write, burst)

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
        self._open[bank] = piece.row
        self._closable[bank] = active + self._after[0]
        return active + max(1, cycles.rcd - 1)

    def _slot(self, cycle: int) -> int:
        """Return the first cycle from ``cycle`` on without a column command."""
        if self._first <= cycle <= self._final and (cycle - self._first) % self._words == 0:
            return cycle + 1
        return cycle

    def _move(self, ready: int, piece: _Piece, write: bool, burst: _Burst) -> None:
        """Give the piece its columns."""
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
        if not write:
            burst.answer([first + i * words + self._beat_after for i in range(piece.beats)])
        elif piece.last:
            burst.answer([final + 1])
