"""What a compute command says of tiles of results: how windows are summed, and what of the sums."""

from __future__ import annotations

from collections.abc import Sequence

#: Rows and columns of a tile, and taps that make a window, at most.
MAX_TILE_ROWS, MAX_TILE_COLUMNS, MAX_TAPS = 4, 2, 8


def coefficient(code: int) -> int:
    """Return what a tap with these four bits is multiplied by."""
    value = (1 << (code & 3)) + (code >> 2 & 1)
    return -value if code >> 3 else value


#: The four bits of each coefficient that a command can say.
CODES = {coefficient(code): code for code in reversed(range(16))}


def pack_coefficients(values: Sequence[int]) -> int:
    """Return the coefficients of all taps as a command has them."""
    return sum(CODES[value] << 4 * i for i, value in enumerate(values))
