"""Feature maps of up to 16 bits: every row is a row of high bytes and one of low bytes.

``q = 256 * high + low``, where ``low`` is 0..255 and ``high`` has the sign. So a (C, H, W) map is
one of (C, 2 * H, W) bytes in memory and on chip; the engine reads row ``2 * y`` as high bytes and
row ``2 * y + 1`` as low ones, and writes both of one sum. See docs/decisions/0062-wide-maps.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.commands import Compute, changed
from tilewright.isa.config import EngineConfig

#: Rows of bytes for each row of a wide map, and what a high byte counts for.
PLANES, HIGH = 2, 256
#: What commands of other engines leave out.
WIDE_FIELDS = ("wide_in", "low_first", "wide_out", "zero_point_high", "qmin_high", "qmax_high")
_LOW_BITS = 9

Map = TypeVar("Map", bound="np.generic[Any]")


def reads_wide(config: EngineConfig, command: Compute) -> bool:
    """Return whether the kernel rows of a command are of high and low bytes in turns."""
    return config.wide_maps and bool(command.wide_in)


def is_low(command: Compute, kernel_row: int) -> bool:
    """Return whether a kernel row of a command that reads 16 bits is one of low bytes."""
    return bool((kernel_row ^ command.low_first) & 1)


def writes_wide(config: EngineConfig, command: Compute) -> bool:
    """Return whether each pass of a command writes a row of high bytes and one of low bytes."""
    return config.wide_maps and bool(command.wide_out)


def result_rows(config: EngineConfig, command: Compute) -> int:
    """Return the rows of bytes that a row of results is written to."""
    return PLANES if writes_wide(config, command) else 1


def bounds(config: EngineConfig, command: Compute) -> tuple[int, int, int]:
    """Return the zero point, the smallest and the largest result of a command."""
    c, mask = command, (1 << _LOW_BITS) - 1
    if not writes_wide(config, c):
        return c.zero_point, c.qmin, c.qmax
    return (
        c.zero_point_high << _LOW_BITS | c.zero_point & mask,
        c.qmin_high << _LOW_BITS | c.qmin & mask,
        c.qmax_high << _LOW_BITS | c.qmax & mask,
    )


def ordered_bounds(config: EngineConfig, command: Compute) -> bool:
    """Return whether the smallest result of a command is at most the largest."""
    _, qmin, qmax = bounds(config, command)
    return qmin <= qmax


def only_sums(command: Compute) -> Compute:
    """Return a command whose sums are part of others, with results of bytes: it has none."""
    if not command.wide_out:
        return command
    none = dict.fromkeys(("zero_point", "qmin", "qmax"), 0)
    above = {f"{name}_high": 0 for name in none}
    return changed(command, wide_out=0, **none, **above)


def split_bound(value: int) -> tuple[int, int]:
    """Return a number of 17 bits, signed, as the two fields that a command has for it."""
    half = 1 << (_LOW_BITS - 1)
    return (value + half) % (2 * half) - half, value >> _LOW_BITS


def split_rows(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the (C, 2 * H, W) bytes of a wide map (C, H, W), high ones as they are signed."""
    channels, height, width = values.shape
    rows = np.stack([values >> 8, values & 0xFF], axis=2)
    return rows.reshape(channels, PLANES * height, width)


def join_rows(rows: NDArray[np.int64], *, signed: bool) -> NDArray[np.int64]:
    """Return the (C, H, W) elements of which these are the (C, 2 * H, W) bytes."""
    data = rows & 0xFF
    values = data[:, ::PLANES] * HIGH + data[:, 1::PLANES]
    half = 1 << 15 if signed else 0
    return (values ^ half) - half


def _alone(config: EngineConfig, c: Compute) -> bool:
    return not (c.wide_in and (c.maximum or c.product or c.accesses)) and not (
        c.wide_out and c.accesses
    )


def _known(config: EngineConfig, c: Compute) -> bool:
    return not any(getattr(c, name) for name in WIDE_FIELDS)


#: What compute commands must have, whether they do, and what is done otherwise; "" for a refusal.
WIDE_RULES: tuple[tuple[str, Callable[[EngineConfig, Compute], bool], str], ...] = (
    (
        "nothing of 16 bits, but in an engine with wide_maps",
        lambda config, c: config.wide_maps or not config.prefetch or _known(config, c),
        "",
    ),
    (
        "plain sums and rows that share no words, if activations or results have 16 bits",
        lambda config, c: not config.wide_maps or _alone(config, c),
        "",
    ),
)
