"""Words of results: rows that share them, and two that leave in a cycle; of a command's fields.

Where a row of results does not fill its last word of ``cols`` pixels, the next row goes on in it. A
window's pixels are then read row by row: of each row, those that lie in it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd

from tilewright.isa.commands import Compute, changed
from tilewright.isa.config import EngineConfig
from tilewright.isa.passes import is_split, window_parts, word_columns

#: What the engine counts: pixels of a row of results, and of the input from one row to the next.
LEAST_WIDTH, MOST_ROW_DX = 2, (1 << 13) - 1
#: Results that follow one another, of which no two may lie in a lane where two leave in a cycle: a
#: lane written in two cycles of three has room for what is loaded.
APART = 4


def shared_accesses(config: EngineConfig, stride_x: int, out_w: int, split: bool = False) -> int:
    """Return the accesses in which windows are read whose pixels are of several rows.

    As many for each row as of a row alone. Words begin at multiples of the divisor that their
    pixels and ``out_w`` share. ``split`` : as in ``Compute``
    """
    pixels = word_columns(config, split)
    rows = 1 - (gcd(pixels, out_w) - pixels) // out_w
    return rows * window_parts(config, stride_x, split)


def can_share(config: EngineConfig, stride_x: int, out_w: int, split: bool = False) -> bool:
    """Return whether rows of so many results can share words."""
    return (
        config.shared_words
        and out_w >= LEAST_WIDTH
        and out_w * stride_x <= MOST_ROW_DX
        and shared_accesses(config, stride_x, out_w, split) <= config.cols
    )


def has_room(config: EngineConfig, dst_lane: int, out_w: int) -> bool:
    """Return whether what is loaded finds room in a lane between results of rows that share words.

    Where a row ends in the lane in which the next one begins, that lane is written in two cycles
    that follow one another. Lane 0 may be, unless it is one of two.
    """
    meets = config.crowded_lanes > 0 and out_w % config.cols == 1
    return not meets or (dst_lane < config.crowded_lanes and config.cols > 2)


def can_pair(config: EngineConfig, dst_step: int, shared_w: int = 0) -> bool:
    """Return whether two words of results can leave in a cycle.

    Parameters
    ----------
    dst_step : as in ``Compute``
    shared_w : results of a row, if rows share words
    """
    beyond = shared_w % config.cols
    return config.result_words == 2 and dst_step == 1 and (not beyond or beyond >= APART)


def _counts(config: EngineConfig, c: Compute) -> bool:
    return not c.accesses or (
        not (c.partial or c.transform or c.product or c.resume)
        and c.out_w >= LEAST_WIDTH
        and c.accesses <= config.cols
        and 0 < c.last_pixels <= word_columns(config, is_split(config, c))
    )


def _agrees(config: EngineConfig, c: Compute) -> bool:
    split = is_split(config, c)
    return not c.accesses or (
        c.n_oy * c.out_w == (c.n_ox - 1) * word_columns(config, split) + c.last_pixels
        and c.accesses >= shared_accesses(config, c.stride_x, c.out_w, split)
        and c.row_dx == c.out_w * c.stride_x
        and (c.row_word, c.row_lane) == divmod(c.row_dx, config.cols)
    )


def _pairs(config: EngineConfig, c: Compute) -> bool:
    return (
        config.result_words == 1
        or not c.pair
        or (
            can_pair(config, c.dst_step, c.out_w if c.accesses and c.to_act else 0)
            and not (c.accesses and c.to_out and (c.out_row_step - c.out_w) % 2)
        )
    )


def _leaves_room(config: EngineConfig, c: Compute) -> bool:
    return not (c.accesses and c.to_act) or has_room(config, c.dst_lane, c.out_w)


#: What compute commands must have, whether they do, and what is done otherwise; "" for a refusal.
WORD_RULES: tuple[tuple[str, Callable[[EngineConfig, Compute], bool], str], ...] = (
    (
        "rows of 2 pixels or more, 1..cols accesses, last pixels of a word, plain sums, if shared",
        _counts,
        "",
    ),
    (
        "as many words and accesses as rows that share words take, and where the next row is",
        _agrees,
        "",  # hardware goes on with what is not defined
    ),
    (
        "rows that begin in lane 0 of more than two, if they share words and end in it",
        _leaves_room,
        "",  # likewise
    ),
    (
        "results that lie apart where two words leave in a cycle: see pair",
        _pairs,
        "",  # likewise
    ),
)


def share_words(config: EngineConfig, command: Compute) -> Compute:
    """Return the command of the same results whose rows share words; see :func:`can_share`.

    Or the same command, where :func:`has_room` says no.
    """
    c, cols, split = command, config.cols, is_split(config, command)
    if c.to_act and not has_room(config, c.dst_lane, c.out_w):
        return c
    pixels, row_dx = c.n_oy * c.out_w, c.out_w * c.stride_x
    each = word_columns(config, split)
    words = -(-pixels // each)
    apart = can_pair(config, c.dst_step, c.out_w) and not (c.out_row_step - c.out_w) % 2
    return changed(
        c,
        pair=int(apart),
        n_ox=words,
        accesses=shared_accesses(config, c.stride_x, c.out_w, split),
        last_pixels=pixels - (words - 1) * each,
        row_dx=row_dx,
        row_word=row_dx // cols,
        row_lane=row_dx % cols,
    )


def own_words(config: EngineConfig, command: Compute) -> Compute:
    """Return the command of the same results whose rows have words of their own."""
    each = word_columns(config, is_split(config, command))
    return changed(command, n_ox=-(-command.out_w // each), accesses=0)
