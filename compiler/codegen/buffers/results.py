"""Where results lie in the output buffer, on their way to memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ResultBuffer:
    """A ring of pixel words, used in turns.

    Parameters
    ----------
    depth : int, pixel words
    """

    depth: int
    _next: int = 0

    def place(self, words: int) -> int:
        """Return the first word of results."""
        base = self._next
        self._next = (base + words) % self.depth
        return base
