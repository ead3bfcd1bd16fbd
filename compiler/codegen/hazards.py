"""Dependencies between commands, from the memory they touch.

Units run side by side and each runs its own commands in order. A command must wait for commands of
other units that touch the same words, if either writes. Nothing is annotated by hand: every
command says what it reads and writes, and the waits follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Unit


class Span(NamedTuple):
    """``times`` runs of ``length`` words of one memory, ``stride`` words apart."""

    memory: str
    start: int
    length: int
    times: int = 1
    stride: int = 0


class HazardTracker:
    """Remember, for every word, which command of each unit read and wrote it last.

    Parameters
    ----------
    sizes : words of each memory
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = dict(sizes)
        # Of the units that read or wrote a memory so far.
        self._reads: dict[str, dict[Unit, NDArray[np.int32]]] = {m: {} for m in sizes}
        self._writes: dict[str, dict[Unit, NDArray[np.int32]]] = {m: {} for m in sizes}

    def access(
        self, unit: Unit, index: int, reads: Iterable[Span], writes: Iterable[Span]
    ) -> dict[Unit, int]:
        """Record command ``index`` of ``unit`` and return the commands that it must follow.

        Returns, per unit, the largest index of a command that must be complete. For the unit
        itself, which runs its commands in order, that is the last whose results are read.
        """
        after: dict[Unit, int] = {}

        def follow(tables: dict[Unit, NDArray[np.int32]], span: Span, *, own: bool) -> None:
            for other, table in tables.items():
                if own or other is not unit:
                    last = int(np.maximum.reduce(_words(table, span), axis=None, initial=-1))
                    if last >= 0:
                        after[other] = max(after.get(other, -1), last)

        read_spans, write_spans = list(reads), list(writes)
        for span in read_spans:
            follow(self._writes[span.memory], span, own=True)
        for span in write_spans:
            follow(self._writes[span.memory], span, own=False)
            follow(self._reads[span.memory], span, own=False)
        for span in read_spans:
            _words(self._table(self._reads, unit, span), span)[...] = index
        for span in write_spans:
            _words(self._table(self._writes, unit, span), span)[...] = index
        return after

    def _table(
        self, tables: dict[str, dict[Unit, NDArray[np.int32]]], unit: Unit, span: Span
    ) -> NDArray[np.int32]:
        """Return which command of a unit read, or wrote, each word of a memory last."""
        known = tables[span.memory].get(unit)
        if known is None:
            known = np.full(self._sizes[span.memory], -1, np.int32)
            tables[span.memory][unit] = known
        return known


def _words(table: NDArray[np.int32], span: Span) -> NDArray[np.int32]:
    """Return the (times, length) entries of a span, or (length,), to read or to change."""
    last = span.start + (span.times - 1) * span.stride + span.length
    if span.length and not 0 <= span.start <= last <= table.size:
        raise ValueError(f"{span} leaves a memory of {table.size} words")
    if span.times == 1:
        return table[span.start : last]
    size = table.itemsize
    # As numpy.lib.stride_tricks.as_strided, which takes as long as all else here.
    shape, strides = (span.times, span.length), (span.stride * size, size)
    return np.ndarray(shape, table.dtype, table.data, span.start * size, strides)


def ring_spans(
    memory: str, start: int, count: int, depth: int, *, base: int = 0, copies: int = 1
) -> list[Span]:
    """Return the one or two spans of ``count`` words from ``start`` in a ring of ``depth`` words.

    The ring begins at ``base``, and there are ``copies`` of it, one behind the other.
    """
    count = min(count, depth)
    start %= depth
    first = min(count, depth - start)
    spans = [Span(memory, base + start, first, copies, depth)]
    if first < count:
        spans.append(Span(memory, base, count - first, copies, depth))
    return spans
