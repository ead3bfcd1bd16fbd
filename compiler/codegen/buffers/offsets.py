"""Which offsets and masks the offset buffer holds, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from tilewright.compiler.schedule.array.area import Area

Part: TypeAlias = tuple[str, int, Area]
"""Some of a value of an image."""


@dataclass
class OffsetBuffer:
    """Places rows of offsets and masks in turns.

    Parameters
    ----------
    depth : int, words
    """

    depth: int
    _next: dict[tuple[int, int], int] = field(default_factory=dict)
    _held: dict[Part, tuple[int, int]] = field(default_factory=dict)

    def place(self, part: Part, words: int, half: int | None) -> tuple[int, bool]:
        """Return the first word of a part, and whether they are there already.

        ``half``: the half of the buffer that they may be in, 0 or 1; None for all of it.
        """
        room = (0, self.depth) if half is None else (half * self.depth // 2, self.depth // 2)
        start, size = room
        held = self._held.get(part)
        if held is not None and start <= held[0] and held[0] + words <= start + size:
            return held[0], True
        base = self._next.get(room, start)
        if base + words > start + size:
            base = start
        self._next[room] = base + words
        self._held = {
            other: (first, count)
            for other, (first, count) in self._held.items()
            if first + count <= base or base + words <= first
        }
        self._held[part] = base, words
        return base, False
