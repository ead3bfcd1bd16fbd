"""Where weights lie in the weight buffer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class _Stream:
    """Where weights that take turns go: ``words`` words of the weight ring from ``start``."""

    start: int
    words: int
    used: int = 0

    def place(self, words: int) -> int:
        if self.used + words > self.words:
            self.used = 0
        base = self.start + self.used
        self.used += words
        return base


@dataclass
class WeightBuffer:
    """A ring of weight words.

    Of a group that runs in several strips, weights that stay have room in it, and all others take
    turns in the rest, if there are any that stay.

    Parameters
    ----------
    depth : int, weight words
    """

    depth: int
    _next: int = 0
    _stream: _Stream | None = None

    def begin(self, stream_words: int) -> None:
        """Begin a group, with room for weights that take turns beside others, or none."""
        self._stream = None
        if stream_words:
            self._stream = _Stream(self._next, stream_words)
            self._next = (self._next + stream_words) % self.depth

    def place(self, words: int, *, kept: bool) -> int:
        """Return the first word of weights that stay or take turns; it may lie behind the end."""
        if not kept and self._stream is not None:
            return self._stream.place(words)
        base = self._next
        self._next = (base + words) % self.depth
        return base
