"""The command before a deformable compute command."""

from __future__ import annotations

from tilewright.isa.commands.base import Command, Unit, command
from tilewright.isa.fields import bits


@command
class Deform(Command):
    """Make the next compute command take its windows from positions that are data.

    Window pixel j of a segment, whose place is input row y and column x, is sampled at row
    ``y + dy / 2**fraction`` and column ``x + dx / 2**fraction``. The value is::

        pad + round_half_even(m * sum(w * (q - pad)) / 2**(2 * fraction + mask_fraction))

    over the four pixels q around the position, where m is the mask (1 without one), and w the
    product of ``2**fraction - f`` or f for row and column, f being the fraction of the position.
    Pixels outside the input count as ``pad``. dy and dx are signed bytes; m is at most
    ``2**mask_fraction``, so that no sample leaves the range of its pixels. Where dy is not in
    ``dy_least..dy_most`` the value is ``pad``, and nothing is read.

    Channels of the offsets' words: for every ``shared`` channel groups of the input, for every
    tap in the order of kernel rows and columns, dy and dx; those of the masks have one byte for a
    tap. Word x of output row y and channel group g of either is
    ``base + y * row_step + x + g * group_step``, modulo the buffer's size; every kernel group
    begins again. The words of offsets and masks of one pixel are read in the same cycle: they must
    lie in different halves of the buffer.

    A segment takes at least ``cols`` cycles, one for each pixel of its word, and in the last word
    of a row at least ``last_parts`` cycles. The two rows around a position are
    read in the same cycle, too: ``row_pitch`` is odd and the ring has an even number of rows.
    ``act_row``, ``oy_step`` and ``r_step`` of the compute command mean nothing here.

    The command starts when all compute commands before it are complete.
    """

    UNIT = Unit.COMPUTE
    OPCODE = 2

    wait_load: int = bits(
        16, "load commands to be complete before this one starts (mod 2**16)", default=0
    )
    wait_store: int = bits(16, "store commands to be complete first (mod 2**16)", default=0)
    fraction: int = bits(4, "bits of dy and dx below the point, 0..offset_fraction")
    mask_fraction: int = bits(4, "bits of the mask below the point; 0: there is no mask", default=0)
    dy_least: int = bits(8, "the least dy at which samples are taken", signed=True, default=-128)
    dy_most: int = bits(8, "the greatest one", signed=True, default=127)
    taps: int = bits(16, "n_r * n_s of the compute command")
    shared: int = bits(12, "channel groups of the input that share their positions")
    row_pitch: int = bits(16, "lane words from one input row to the next, odd")
    first_row: int = bits(13, "first input row that is in the ring")
    rows: int = bits(13, "input rows that are in the ring; no others are read")
    row_base: int = bits(16, "lane words from the ring's beginning to first_row, below act_ring")
    last_parts: int = bits(5, "pixels sampled in the last word of a row: least_last_parts..cols")
    offset_base: int = bits(16, "offset buffer: word of the first output pixel's first tap")
    offset_byte: int = bits(6, "byte of that tap's dy in the word, even", default=0)
    mask_base: int = bits(
        16, "offset buffer: word of the first output pixel's first mask", default=0
    )
    mask_byte: int = bits(6, "byte of that mask in the word", default=0)
    row_step: int = bits(16, "offset buffer: words from one output row to the next")
    group_step: int = bits(16, "offset buffer: words from one channel group to the next")
