"""Rows of words in memory: the bursts that carry them, and the cycles that their beats take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tilewright.isa import EngineConfig


@dataclass(frozen=True)
class Block:
    """``groups`` runs of ``height`` rows of ``words`` words each, in memory.

    Parameters
    ----------
    address, stride : int, bytes: of the first run, and from one to the next
    row_beats : int, of one row, which begins with a beat
    """

    address: int
    groups: int
    stride: int
    height: int
    words: int
    row_beats: int

    def alike(self, config: EngineConfig) -> Block:
        """Return the block whose bursts lie in the first pages of memory as this one's in theirs.

        With a memory of fixed latencies they take the same cycles.
        """
        page = config.burst_beats * config.bus_bytes
        return replace(self, address=self.address % page, stride=self.stride % page)

    def bursts(self, config: EngineConfig) -> Iterator[tuple[int, int, int, int]]:
        """Yield address, first beat (counted over the block), beats, cycles spent adding rows."""
        first, size, most = 0, config.bus_bytes, config.burst_beats
        for group in range(self.groups):
            place = (self.address + group * self.stride) // size
            have, rows = self.row_beats, self.height - 1
            while have or rows:
                room = most - place % most
                added = 0
                if have < room:
                    added = min(rows, -(-(room - have) // self.row_beats))
                have += added * self.row_beats
                rows -= added
                beats = min(have, room)
                yield place * size, first, beats, added
                first += beats
                place += beats
                have -= beats


@dataclass(frozen=True)
class Pace:
    """Cycles that beats take, where a beat holds several words: one per word.

    ``wait``: the first word of a row must wait for one cycle, because it goes to the lane of the
    last word of the row before.
    """

    row_beats: int
    per_beat: int
    last_of_row: int
    wait: int

    def before(self, beat: int) -> int:
        """Return the cycles of all beats before ``beat``."""
        rows, rest = divmod(beat, self.row_beats)
        row = (self.row_beats - 1) * self.per_beat + self.last_of_row + self.wait
        return rows * row + rest * self.per_beat + (self.wait if rest else 0)

    def of(self, beat: int) -> int:
        """Return the cycles of one beat."""
        rest = beat % self.row_beats
        own = self.last_of_row if rest == self.row_beats - 1 else self.per_beat
        return own if rest else own + self.wait

    @property
    def steady(self) -> bool:
        """Whether each beat takes one cycle."""
        return self.per_beat == self.last_of_row == 1 and not self.wait


def pace_of(
    config: EngineConfig, block: Block, *, raw: bool = False, lanes: bool = False, pixel: int = 0
) -> Pace:
    """Return the pace of a block's beats.

    Parameters
    ----------
    raw : beats are taken as they are, not cut into words
    lanes : words go to lanes in turn
    pixel : bytes of a word in memory that is widened, or 0
    """
    if raw or (config.rows > config.bus_bytes and not pixel):
        return Pace(block.row_beats, 1, 1, 0)
    per_beat = config.bus_bytes // (pixel or config.rows)
    last = block.words - (block.row_beats - 1) * per_beat
    if pixel:  # of several beats each when widened: no word is shown right after another
        each = config.rows // config.bus_bytes
        return Pace(block.row_beats, per_beat * each, last * each, 0)
    wait = lanes and (block.words - 1) % config.cols == 0
    return Pace(block.row_beats, per_beat, last, int(wait))


def row_beats(config: EngineConfig, words: int, pixel: int = 0) -> int:
    """Return the beats of a row of ``words`` words, of ``pixel`` bytes each or of ``rows``."""
    return -(-words * (pixel or config.rows) // config.bus_bytes)
