"""Dependencies between commands, from the memory they touch.

Units run side by side and each runs its own commands in order. A command must wait for commands of
other units that touch the same words, if either writes. Nothing is annotated by hand: every
command says what it reads and writes, and the waits follow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tilewright.compiler.isa import Unit


@dataclass(frozen=True)
class Span:
    """Words ``start .. stop - 1`` of one memory."""

    memory: str
    start: int
    stop: int


@dataclass(frozen=True)
class _Access:
    start: int
    stop: int
    unit: Unit
    index: int
    writes: bool


@dataclass
class HazardTracker:
    """Remember who touched what, in program order."""

    _memories: dict[str, list[_Access]] = field(default_factory=dict)

    def access(
        self, unit: Unit, index: int, reads: Iterable[Span], writes: Iterable[Span]
    ) -> dict[Unit, int]:
        """Record command ``index`` of ``unit`` and return the commands that it must follow.

        Returns, per unit (its own too), the largest index of a command that must be complete.
        """
        after: dict[Unit, int] = {}
        spans = [(span, False) for span in reads] + [(span, True) for span in writes]
        for span, is_write in spans:
            kept = []
            for old in self._memories.setdefault(span.memory, []):
                overlaps = old.start < span.stop and span.start < old.stop
                if overlaps and (is_write or old.writes) and (old.unit, old.index) != (unit, index):
                    after[old.unit] = max(after.get(old.unit, -1), old.index)
                # Whoever comes later waits for this write, and so for what it covers.
                covered = is_write and span.start <= old.start and old.stop <= span.stop
                if not covered:
                    kept.append(old)
            kept.append(_Access(span.start, span.stop, unit, index, is_write))
            self._memories[span.memory] = kept
        return after


def ring_spans(memory: str, start: int, count: int, depth: int) -> list[Span]:
    """Return the one or two spans of ``count`` words from ``start`` in a ring of ``depth``."""
    start %= depth
    if start + count <= depth:
        return [Span(memory, start, start + count)]
    return [Span(memory, start, depth), Span(memory, 0, start + count - depth)]
