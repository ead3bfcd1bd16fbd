"""Columns in two halves, the upper one with other channels of the same pixels: ``Compute.split``.

A step of such a command has two weight words: of channel i for the lower half of the columns, and
of channel ``i + rows / 2`` for the upper half. See docs/decisions/0067-halves-of-the-columns.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.commands import Compute, changed
from tilewright.isa.config import EngineConfig
from tilewright.isa.passes import is_split, word_columns
from tilewright.isa.words import own_words

#: What commands of other engines leave out; it lies behind all else.
SPLIT_FIELDS = ("split",)


def split_words(words: NDArray[np.int16], taps: int, channels: int) -> NDArray[np.int16]:
    """Return the weight words of a kernel group as a split command reads them.

    ``words`` : (steps, rows), as another one does: of each group of ``rows`` channels all ``taps``,
    and of each of those the channels
    """
    rows = words.shape[1]
    half, found, first = rows // 2, [], 0
    for begin in range(0, channels, rows):
        lanes = min(rows, channels - begin)
        whole = np.zeros((taps, rows, rows), words.dtype)
        whole[:, :lanes] = words[first : first + taps * lanes].reshape(taps, lanes, rows)
        first += taps * lanes
        pairs = np.stack([whole[:, :half], whole[:, half:]], axis=2)
        found.append(pairs[:, : min(lanes, half)].reshape(-1, rows))
    return np.concatenate(found)


def joined(
    config: EngineConfig, command: Compute, words: NDArray[np.int16]
) -> tuple[Compute, NDArray[np.int16]]:
    """Return the command of the same sums whose columns are not split, and its weight words.

    ``words`` : (kernel groups, weight words, rows); where the command has no step, zeros are added
    """
    c, rows = command, config.rows
    count, half = len(words), rows // 2
    steps = np.zeros((count, c.n_cg, c.windows, 2, half, rows), words.dtype)
    last = 2 * (c.n_cg - 1) * c.windows * c.segment
    first = words[:, :last].reshape(count, c.n_cg - 1, c.windows, c.segment, 2, rows)
    rest = words[:, last:].reshape(count, c.windows, c.last_segment, 2, rows)
    steps[:, :-1, :, :, : c.segment] = first.transpose(0, 1, 2, 4, 3, 5)
    steps[:, -1, :, :, : c.last_segment] = rest.transpose(0, 1, 3, 2, 4)
    alike = own_words(config, changed(c, split=0, segment=rows, last_segment=rows))
    return alike, steps.reshape(count, -1, rows)


def _known(config: EngineConfig, c: Compute) -> bool:
    return config.split_columns or not config.prefetch or not c.split


def _plain(config: EngineConfig, c: Compute) -> bool:
    return not is_split(config, c) or (
        1 << c.segment_log2 == config.rows
        and 0 < c.segment <= config.rows // 2
        and c.last_segment <= config.rows // 2
        and not (c.maximum or c.resume or c.fold)
    )


def _ends(config: EngineConfig, c: Compute) -> bool:
    each = word_columns(config, split=True)
    if c.accesses or not is_split(config, c):
        return True
    return 0 < c.out_w - (c.n_ox - 1) * each <= each


#: What compute commands must have, whether they do, and what is done otherwise; "" for a refusal.
SPLIT_RULES: tuple[tuple[str, Callable[[EngineConfig, Compute], bool], str], ...] = (
    ("columns in halves only in an engine with split_columns", _known, ""),
    (
        "segments of 1..rows / 2 steps that all rows hear, and plain sums, if columns are split",
        _plain,
        "",
    ),
    (
        "an out_w that ends in the last output word, if columns are split",
        _ends,
        "",  # hardware goes on with what is not defined
    ),
)
