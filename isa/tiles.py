"""What a compute command says of tiles of results: how windows are summed, and what of the sums."""

from __future__ import annotations

from collections.abc import Sequence

from tilewright.isa.fields import Field

#: Rows and columns of a tile, and taps that make a window, at most.
MAX_TILE_ROWS, MAX_TILE_COLUMNS, MAX_TAPS = 4, 2, 8

TERM_FIELDS = (
    Field("first", 1, "1: these are the first"),
    Field("last", 1, "1: these are the last, results follow"),
    Field("tile_h", 3, f"result rows of a tile, 1..{MAX_TILE_ROWS}"),
    Field("tile_w", 2, f"result columns of a tile, 1..{MAX_TILE_COLUMNS}"),
    Field("last_h", 3, "result rows of the tiles in the last row of them that exist"),
    Field("rows_used", MAX_TILE_ROWS, "bit k: the sums are added to row k of the tile"),
    Field("row_shift", 1, "1: times 2**k in row k"),
    Field("row_sign", 1, "1: negative in odd rows"),
    Field("columns_used", MAX_TILE_COLUMNS, "bit l: the sums are added to column l of the tile"),
    Field("column_shift", 1, "1: times 2**l in column l"),
    Field("column_sign", 1, "1: negative in odd columns"),
    Field("negative", 1, "1: all signs are the other way round"),
    Field("scale", 3, "the sums are multiplied by 2**scale"),
    Field("third", 1, "1: the total is divided by -3, without remainder"),
    Field("halvings", 3, "the total is divided by 2**halvings, without remainder"),
)
"""What becomes of the sums of a pass that computes a term of tiles."""

TILE_FIELDS = (
    Field("transform", 1, "1: the taps of a channel group make one window"),
    Field("taps", 4, f"how many, 1..{MAX_TAPS}; then stride_x has no divisor in common with cols"),
    Field(
        "coefficients",
        4 * MAX_TAPS,
        "of each tap, four bits: 2**(low two) + third, negative if fourth",
    ),
    Field("partial", 1, "1: the sums are added to partial sums"),
    *TERM_FIELDS,
)
"""Options of :class:`~tilewright.isa.Compute`."""


def coefficient(code: int) -> int:
    """Return what a tap with these four bits is multiplied by."""
    value = (1 << (code & 3)) + (code >> 2 & 1)
    return -value if code >> 3 else value


#: The four bits of each coefficient that a command can say.
CODES = {coefficient(code): code for code in reversed(range(16))}


def pack_coefficients(values: Sequence[int]) -> int:
    """Return the coefficients of all taps as a command has them."""
    return sum(CODES[value] << 4 * i for i, value in enumerate(values))
