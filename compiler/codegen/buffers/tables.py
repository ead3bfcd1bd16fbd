"""Which activation tables the engine holds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TableBuffer:
    """Tables by content; one that is new takes the place of that used longest ago.

    Parameters
    ----------
    tables : int, that the engine holds
    """

    tables: int
    _held: dict[bytes, int] = field(default_factory=dict)

    def place(self, content: bytes) -> tuple[int, bool]:
        """Return where a table is, from 0, and whether it is there already."""
        slot = self._held.pop(content, None)
        held = slot is not None
        if slot is None:
            slot = len(self._held)
            if slot == self.tables:
                slot = self._held.pop(next(iter(self._held)))
        self._held[content] = slot
        return slot, held
