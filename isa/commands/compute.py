"""The compute command."""

from __future__ import annotations

from tilewright.isa.commands.base import Command, Unit, command
from tilewright.isa.fields import bits
from tilewright.isa.tiles import MAX_TAPS, MAX_TILE_COLUMNS, MAX_TILE_ROWS, coefficient


@command
class Compute(Command):
    """Compute an output tile of ``n_kg * rows`` channels, ``n_oy`` rows, ``out_w`` columns.

    For each kernel group, output row and word of ``cols`` output pixels one *pass* runs:
    for each channel group, kernel row and kernel column, a *segment* of ``segment`` channels (the
    last channel group has ``last_segment``). At step i of a segment array row k receives the
    window of channel ``k - k % 2**segment_log2 + i``.

    A pass takes as many cycles as it has steps, but at least ``EngineConfig.drain_cycles``. When
    the stride and ``cols`` have a common divisor g, a window takes g accesses to assemble, and a
    segment at least g cycles; but one for a divisor of 2 with ``double_reads``, if the stride is no
    multiple of 4.

    Input rows lie in rings: input row y of a channel group begins ``act_row + (y - y0) * row
    words`` lane words behind the group's base, modulo ``act_ring``.

    Weights: per kernel group ``param_words`` words of requantization parameters, then one word
    per step, in the order of the loops above; the ring address runs on from group to group.

    Result x of a row goes to word ``x * dst_step`` of the row in the output buffer, and to pixel
    ``dst_lane + x * dst_step`` of the row in the activation buffer, where ``dst_step`` must not be
    a multiple of ``cols``.

    With ``accesses``, rows share words of results: the results of all ``n_oy`` rows follow one
    another, ``n_ox`` words in all, the last of ``last_pixels``. A window's pixels are then read row
    by row, in as many accesses, and a segment takes at least as many cycles. ``row_dx`` is where
    the next row's first window would be, had the row before gone on.

    With ``resume``, a command of one pass adds to the sums, or goes on with the maximum, that the
    last pass of the command before left in the array. A command without ``to_act`` and ``to_out``
    has no results, and its parameters mean nothing: so the sums of many commands are one result.

    With ``segment`` 0 a command is a *product* of two maps, its two channel groups, in an engine
    with ``multiplies_maps``; it has one kernel row and column, a stride of 1, and ``last_segment``
    1. The first channel group's window is the factor: a pass takes ``cols`` steps, and in step j
    the row's weight is pixel j of the factor, less ``pad``, its zero point, and only column j adds
    what comes of it. With ``factor_steps`` the factor's window is itself multiplied by a weight
    before, in a step of its own, as if ``segment`` were 1. No other step reads a weight, but one
    word for them all lies behind it.

    With ``fold`` f, what row k has summed is what rows ``k + rows / 2**f``, ``k + 2 rows / 2**f``
    and so on have too: behind the array, sums of the upper half of the rows are added to those of
    the lower half, then of the lower half's upper half to its lower, f times. Rows of ``rows /
    2**f`` on have sums that are no output channel's. An engine without folds ignores it.

    With ``pair``, in an engine of ``2 * rows`` requantizers, results x and ``x + 1`` of an output
    word leave the array in one cycle, and a pass need not last longer than ``(cols + 1) // 2``
    cycles; without, it lasts ``cols``. Both are written in that cycle: four results that follow
    one another must lie in four lanes, and two in an even and an odd word of the output buffer. So
    ``dst_step`` is 1, and where rows share words, a row ends after whole words or at least four
    results beyond them, and ``out_row_step - out_w`` is even. Other engines ignore it.

    With ``split``, in an engine with ``split_columns``, output words and windows have ``cols // 2``
    pixels. Column ``cols // 2 + j`` of the array has the pixel of column j, and at step i
    the channel ``i + rows / 2``; it reads the second of the two weight words of the step. Behind
    the array, both columns' sums are added. Such a command has segments of at most ``rows / 2``
    steps, which all rows hear (``segment_log2`` is log2(rows)), and does not ``resume``, ``fold``
    or look for a ``maximum``. Of a window's accesses it takes those that have its pixels.

    With ``wide_in``, kernel rows are of high and of low bytes of 16-bit activations in turns:
    weights of a row of high bytes count 256 times, and only high bytes are ``signed``. With
    ``wide_out``, results have 16 bits, as have the bounds: each pass writes its high bytes, and
    then its low bytes one row step further, in ``drain_cycles`` each; rows of results are two row
    steps apart.

    With ``stacked``, in an engine with ``stacked_images``, rows of results are those of several
    images, one behind the other. The last one of an image is that whose kernel row 0 is input row
    ``edge_y``: behind it, input rows are counted ``edge_dy`` on instead of ``oy_dy``, and lie
    ``edge_step`` lane words on in the ring instead of ``oy_step``. So ``y0`` and ``edge_y`` are
    rows of an image, ``in_h`` its height, and each image has padding of its own. Results lie as if
    all were rows of one.

    With ``transform``, all ``n_r * n_s`` taps of a channel group make one window, their sum with
    ``coefficients``; the segment that follows belongs to all of them.

    With ``partial``, a pass computes a term of a tile of ``tile_h`` x ``tile_w`` results for each
    output pixel. The sums are shifted, negated and added to partial sums, which stay between
    commands: ``first`` begins with zero, ``last`` divides them and goes on to the results; without
    it, the parameters mean nothing. Passes are numbered from the command's first on; ``n_kg`` must
    be one. Result rows of a tile lie one row step apart, and tiles ``tile_h`` row steps; columns
    likewise, where ``dst_step`` must be ``tile_w``.
    """

    UNIT = Unit.COMPUTE
    OPCODE = 1

    wait_load: int = bits(
        16, "load commands to be complete before this one starts (mod 2**16)", default=0
    )
    wait_store: int = bits(16, "store commands to be complete first (mod 2**16)", default=0)
    fence: int = bits(
        1, "1: wait for all earlier compute commands; needed to read their results", default=0
    )
    maximum: int = bits(1, "1: accumulate by maximum instead of sum; weights are 0 or 1", default=0)
    resume: int = bits(
        1, "1: the sums go on from those of the command before, of one pass", default=0
    )
    signed: int = bits(1, "1: activations are two's complement", default=0)
    to_act: int = bits(1, "1: results go to the activation buffer", default=0)
    to_out: int = bits(1, "1: results go to the output buffer", default=1)
    segment_log2: int = bits(
        3, "log2 of the rows that share a broadcast: 0 depthwise .. log2(rows) dense"
    )
    segment: int = bits(
        7, "steps of every segment but those of the last channel group; 0 of a product"
    )
    last_segment: int = bits(7, "steps of the segments of the last channel group")
    n_kg: int = bits(12, "kernel groups (of `rows` output channels)")
    n_oy: int = bits(12, "output rows")
    n_ox: int = bits(12, "output words of `cols` pixels per row")
    n_cg: int = bits(12, "channel groups reduced over")
    n_r: int = bits(8, "kernel rows")
    n_s: int = bits(8, "kernel columns")
    stride_x: int = bits(4, "input pixels per output pixel, 1..15")
    weight_base: int = bits(16, "weight word of the first parameter word")
    act_base: int = bits(16, "lane word of the first channel group's ring (mod 2**16)")
    act_row: int = bits(16, "lane words from there to input row y0, below act_ring")
    act_ring: int = bits(16, "lane words of one channel group's ring of rows")
    kg_step: int = bits(16, "lane words from one kernel group's channels to the next (mod 2**16)")
    cg_step: int = bits(16, "lane words from one channel group to the next (mod 2**16)")
    oy_step: int = bits(16, "lane words from one output row's input row to the next, in the ring")
    r_step: int = bits(16, "lane words from one kernel row to the next, in the ring")
    y0: int = bits(
        14,
        "input row of output row 0, kernel row 0; rows outside 0..in_h-1 are padding",
        signed=True,
    )
    oy_dy: int = bits(4, "input rows per output row")
    r_dy: int = bits(6, "input rows per kernel row; of a product, 1: its factor takes a step")
    in_h: int = bits(13, "input rows")
    x0: int = bits(10, "input column of output column 0, kernel column 0", signed=True)
    x0_word: int = bits(9, "floor(x0 / cols)", signed=True)
    x0_lane: int = bits(4, "x0 mod cols")
    s_dx: int = bits(
        6, "input columns per kernel column; of a product, 1: its factor is two's complement"
    )
    s_word: int = bits(5, "s_dx // cols")
    s_lane: int = bits(4, "s_dx mod cols")
    in_w: int = bits(13, "input columns")
    pad: int = bits(8, "byte that stands for every pixel outside the input")
    zero_point: int = bits(9, "added after scaling", signed=True)
    qmin: int = bits(9, "smallest result", signed=True)
    qmax: int = bits(9, "largest result", signed=True)
    out_w: int = bits(13, "valid output pixels per row; at most n_ox * cols")
    dst_step: int = bits(3, "pixels from one result to the next, 1..7", default=1)
    out_base: int = bits(16, "output buffer: word of the first result (mod out_depth)", default=0)
    out_kg_step: int = bits(16, "output buffer: words per kernel group", default=0)
    out_row_step: int = bits(14, "output buffer: words per output row", default=0)
    dst_base: int = bits(16, "activation buffer: lane word of the first row's pixel 0", default=0)
    dst_lane: int = bits(4, "activation buffer: pixel of the first result, below cols", default=0)
    dst_kg_step: int = bits(16, "activation buffer: lane words per kernel group", default=0)
    dst_row_step: int = bits(16, "activation buffer: lane words per output row", default=0)
    table: int = bits(4, "activation table that results go through, from 1; 0 for none", default=0)
    transform: int = bits(
        1, "1: the taps of a channel group make one window", option=True, default=0
    )
    taps: int = bits(
        4,
        f"how many, 1..{MAX_TAPS}; then stride_x has no divisor in common with cols",
        option=True,
        default=0,
    )
    coefficients: int = bits(
        4 * MAX_TAPS,
        "of each tap, four bits: 2**(low two) + third, negative if fourth",
        option=True,
        default=0,
    )
    partial: int = bits(1, "1: the sums are added to partial sums", option=True, default=0)
    first: int = bits(1, "1: these are the first", option=True, default=0)
    last: int = bits(1, "1: these are the last, results follow", option=True, default=0)
    tile_h: int = bits(3, f"result rows of a tile, 1..{MAX_TILE_ROWS}", option=True, default=0)
    tile_w: int = bits(
        2, f"result columns of a tile, 1..{MAX_TILE_COLUMNS}", option=True, default=0
    )
    last_h: int = bits(
        3, "result rows of the tiles in the last row of them that exist", option=True, default=0
    )
    rows_used: int = bits(
        MAX_TILE_ROWS, "bit k: the sums are added to row k of the tile", option=True, default=0
    )
    row_shift: int = bits(1, "1: times 2**k in row k", option=True, default=0)
    row_sign: int = bits(1, "1: negative in odd rows", option=True, default=0)
    columns_used: int = bits(
        MAX_TILE_COLUMNS,
        "bit l: the sums are added to column l of the tile",
        option=True,
        default=0,
    )
    column_shift: int = bits(1, "1: times 2**l in column l", option=True, default=0)
    column_sign: int = bits(1, "1: negative in odd columns", option=True, default=0)
    negative: int = bits(1, "1: all signs are the other way round", option=True, default=0)
    scale: int = bits(3, "the sums are multiplied by 2**scale", option=True, default=0)
    third: int = bits(1, "1: the total is divided by -3, without remainder", option=True, default=0)
    halvings: int = bits(
        3, "the total is divided by 2**halvings, without remainder", option=True, default=0
    )
    accesses: int = bits(
        5,
        "rows share words of results: accesses that windows are read in; 0: they do not",
        option=True,
        default=0,
    )
    last_pixels: int = bits(5, "then, results in the last word", option=True, default=0)
    row_dx: int = bits(13, "then, out_w * stride_x", option=True, default=0)
    row_word: int = bits(12, "row_dx // cols", option=True, default=0)
    row_lane: int = bits(4, "row_dx mod cols", option=True, default=0)
    fold: int = bits(
        3,
        "how often sums of the upper half of the rows are added to the lower half",
        option=True,
        default=0,
    )
    pair: int = bits(
        1, "1: two words of results leave the array in a cycle", option=True, default=0
    )
    wide_in: int = bits(
        1,
        "1: kernel rows are of high and low bytes of activations in turns",
        option=True,
        default=0,
    )
    low_first: int = bits(1, "then, 1: the first is of low bytes", option=True, default=0)
    wide_out: int = bits(
        1, "1: results have 16 bits: rows of high and of low bytes", option=True, default=0
    )
    zero_point_high: int = bits(
        8, "then, bits of zero_point above its nine", option=True, default=0, signed=True
    )
    qmin_high: int = bits(8, "then, those of qmin", option=True, default=0, signed=True)
    qmax_high: int = bits(8, "then, those of qmax", option=True, default=0, signed=True)
    stacked: int = bits(1, "1: rows of results are those of several images", option=True, default=0)
    edge_y: int = bits(
        14,
        "then, input row of an image's last output row, kernel row 0",
        option=True,
        default=0,
        signed=True,
    )
    edge_dy: int = bits(
        14,
        "input rows from there to the next image's first output row, counted in it",
        option=True,
        default=0,
        signed=True,
    )
    edge_step: int = bits(
        16,
        "lane words from there to the next image's first one, in the ring",
        option=True,
        default=0,
    )
    split: int = bits(
        1,
        "1: an output word has cols // 2 pixels; the other columns sum other channels of them",
        option=True,
        default=0,
    )

    @property
    def product(self) -> bool:
        """Whether one map is multiplied by another."""
        return self.segment == 0

    @property
    def factor_steps(self) -> int:
        """Steps of a product in which the factor itself is multiplied by a weight, 0 or 1."""
        return self.r_dy & 1

    @property
    def factor_signed(self) -> int:
        """Whether a product's factor is two's complement."""
        return self.s_dx & 1

    @property
    def windows(self) -> int:
        """Windows of a channel group, each with a segment of its own."""
        return 1 if self.transform else self.n_r * self.n_s

    @property
    def passes(self) -> int:
        """Passes of a kernel group."""
        return self.n_ox if self.accesses else self.n_oy * self.n_ox

    def coefficient(self, tap: int) -> int:
        """Return what a tap is multiplied by on its way into the window."""
        return coefficient(self.coefficients >> 4 * tap & 15)


_NAMES = [field.name for field in Compute.OPTIONS]
#: What becomes of the sums of a pass that computes a term of tiles.
TERM_FIELDS = Compute.OPTIONS[_NAMES.index("first") : _NAMES.index("halvings") + 1]
