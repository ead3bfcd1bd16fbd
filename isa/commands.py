"""The commands of the three units.

A program is three command streams, one per unit (load, compute, store). A unit runs its stream in
order; a command waits until the other units have completed as many commands as it names, so a
command can only depend on earlier ones. The load unit also fetches the commands of all three
(:class:`Fetch`), which makes command traffic part of the schedule, and its timing exact.

Encoding: opcode in the low byte, fields above it from the least significant bit, little-endian in
memory, zero up to the unit's command size.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import ClassVar

from tilewright.errors import Error
from tilewright.isa.fields import EncodeError, Field, pack, unpack
from tilewright.isa.tiles import TILE_FIELDS, coefficient

ISA_VERSION = 5


class Unit(enum.IntEnum):
    """The units, each with its own command stream; the value is the number used in commands."""

    LOAD = 0
    COMPUTE = 1
    STORE = 2

    @property
    def least_bytes(self) -> int:
        """Bytes of one command of this unit without options; see ``EngineConfig.command_bytes``."""
        return 64 if self is Unit.COMPUTE else 32


class DecodeError(Error):
    """Bytes that are not a command."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """Base of all commands; ``FIELDS`` is the single source of their layout.

    ``OPTIONS`` follow in engines that have them: what they say is zero in all others.
    ``layer`` is not seen by the engine: it says which layer of the network a command works for.
    """

    UNIT: ClassVar[Unit]
    OPCODE: ClassVar[int]
    FIELDS: ClassVar[tuple[Field, ...]]
    OPTIONS: ClassVar[tuple[Field, ...]] = ()

    layer: int = 0


_LAYER = Field("layer", 12, "layer of the network that this command works for; profiling only")
_WAIT_LOAD = Field(
    "wait_load", 16, "load commands to be complete before this one starts (mod 2**16)"
)
_WAIT_COMPUTE = Field("wait_compute", 16, "compute commands to be complete first (mod 2**16)")
_WAIT_STORE = Field("wait_store", 16, "store commands to be complete first (mod 2**16)")
_LOAD_HEAD = (_LAYER, _WAIT_COMPUTE, _WAIT_STORE)
_ADDRESS = Field("address", 32, "byte offset from the base register, a multiple of the bus width")


@dataclass(frozen=True, kw_only=True)
class Check(Command):
    """Refuse to run unless the engine has this ISA version and configuration digest."""

    UNIT = Unit.LOAD
    OPCODE = 1
    FIELDS = (
        *_LOAD_HEAD,
        Field("digest", 32, "EngineConfig.digest of the engine the program was compiled for"),
        Field("version", 16, "ISA_VERSION of the program"),
    )

    wait_compute: int = 0
    wait_store: int = 0
    digest: int
    version: int = ISA_VERSION


@dataclass(frozen=True, kw_only=True)
class Fetch(Command):
    """Read ``count`` commands of ``unit`` into its queue."""

    UNIT = Unit.LOAD
    OPCODE = 2
    FIELDS = (
        *_LOAD_HEAD,
        _ADDRESS,
        Field("unit", 2, "whose queue: 0 load, 1 compute, 2 store"),
        Field("count", 16, "commands, 1..queue_depth/2"),
    )

    wait_compute: int = 0
    wait_store: int = 0
    address: int
    unit: int
    count: int


@dataclass(frozen=True, kw_only=True)
class LoadActivations(Command):
    """Read ``groups`` x ``height`` x ``width`` pixel words into the activation buffer.

    Pixel x of a row goes to lane ``x % cols``, word ``x // cols`` of the row. Rows follow one
    another in memory, each padded to whole bus beats. Pixels may lie in memory in fewer bytes than
    ``rows``; the bytes above them are zero in the buffer.
    """

    UNIT = Unit.LOAD
    OPCODE = 3
    FIELDS = (
        *_LOAD_HEAD,
        _ADDRESS,
        Field("groups", 16, "channel groups of `rows` channels"),
        Field("group_stride", 32, "bytes from one group to the next"),
        Field("height", 16, "rows per group"),
        Field("width", 16, "pixels per row"),
        Field("base", 16, "lane word of the first pixel"),
        Field("row_step", 16, "lane words from one row to the next"),
        Field("group_step", 16, "lane words from one group to the next"),
        Field("pixel", 3, "bytes of a pixel in memory: 0 for `rows`, else 1 + log2"),
    )

    wait_compute: int = 0
    wait_store: int = 0
    address: int
    groups: int
    group_stride: int
    height: int
    width: int
    base: int
    row_step: int
    group_step: int
    pixel: int = 0

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel in memory; 0 for ``rows``."""
        return (1 << self.pixel) >> 1


def _word_fields(words: str, base: str) -> tuple[Field, ...]:
    return (*_LOAD_HEAD, _ADDRESS, Field("words", 16, words), Field("base", 16, base))


@dataclass(frozen=True, kw_only=True)
class _LoadWords(Command):
    """Base of the commands that read ``words`` words into a buffer, from place ``base`` on."""

    UNIT = Unit.LOAD

    wait_compute: int = 0
    wait_store: int = 0
    address: int
    words: int
    base: int


@dataclass(frozen=True, kw_only=True)
class LoadWeights(_LoadWords):
    """Read ``words`` times ``rows`` bytes into the weight buffer, wrapping at its end.

    They hold one weight word each, two of 4-bit weights, or half of one of transformed weights,
    which have up to 16 bits (then ``base`` counts weight words).
    """

    OPCODE = 4
    FIELDS = (
        *_word_fields("times `rows` bytes", "place of the first, in as many"),
        Field("wide", 1, "1: of each weight word first the low bytes, then those above"),
    )

    wide: int = 0


@dataclass(frozen=True, kw_only=True)
class LoadTable(_LoadWords):
    """Read ``words`` entries of activation tables, from entry ``base`` on.

    Table t of :class:`Compute` is entries ``256 * (t - 1)`` on. In memory an entry is the first of
    ``rows`` bytes.
    """

    OPCODE = 6
    FIELDS = _word_fields("entries", "first entry")


@dataclass(frozen=True, kw_only=True)
class LoadOffsets(_LoadWords):
    """Read ``words`` times ``rows`` bytes into the offset buffer, wrapping at its end.

    Rows of pixel words of a channel group follow one another in memory, and so they do in the
    buffer: from one to the next it is as many words, where a row's padding counts as words.
    """

    OPCODE = 7
    FIELDS = _word_fields("times `rows` bytes", "place of the first in the buffer")


@dataclass(frozen=True, kw_only=True)
class LoadKernelSteps(Command):
    """Read how :class:`LoadKernels` transforms kernels: ``words`` steps, from the first on.

    In memory a step (:class:`~tilewright.isa.kernel_steps.KernelStep`) is the first two of
    ``rows`` bytes. Only engines with ``transform_at_load`` have this command and the next.
    """

    UNIT = Unit.LOAD
    OPCODE = 8
    FIELDS = (
        *_LOAD_HEAD,
        _ADDRESS,
        Field("words", 16, "steps, 1..256"),
    )

    wait_compute: int = 0
    wait_store: int = 0
    address: int
    words: int


@dataclass(frozen=True, kw_only=True)
class LoadKernels(Command):
    """Read kernels, transform them and write the results into the weight buffer.

    In memory lie the ``taps`` weight words of each channel, filled up to whole bus beats. All steps
    are done for one channel after another. The n-th result of channel c goes to weight word
    ``base + n * term_step + c``, modulo the buffer's size.
    """

    UNIT = Unit.LOAD
    OPCODE = 9
    FIELDS = (
        *_LOAD_HEAD,
        _ADDRESS,
        Field("base", 16, "weight word of the first result of the first channel"),
        Field("term_step", 16, "weight words from one result of a channel to the next"),
        Field("steps", 16, "steps of the transform, 1..256"),
        Field("channels", 16, "input channels, at most term_step"),
        Field("taps", 16, "weight words of each channel, 1..16"),
    )

    wait_compute: int = 0
    wait_store: int = 0
    address: int
    base: int
    term_step: int
    steps: int
    channels: int
    taps: int


@dataclass(frozen=True, kw_only=True)
class End(Command):
    """Complete the run: set the done status and raise the interrupt."""

    UNIT = Unit.LOAD
    OPCODE = 5
    FIELDS = _LOAD_HEAD

    wait_compute: int = 0
    wait_store: int = 0


@dataclass(frozen=True, kw_only=True)
class Compute(Command):
    """Compute an output tile of ``n_kg * rows`` channels, ``n_oy`` rows, ``out_w`` columns.

    For each kernel group, output row and word of ``cols`` output pixels one *pass* runs:
    for each channel group, kernel row and kernel column, a *segment* of ``segment`` channels (the
    last channel group has ``last_segment``). At step i of a segment array row k receives the
    window of channel ``k - k % 2**segment_log2 + i``.

    A pass takes as many cycles as it has steps, but at least ``EngineConfig.drain_cycles``. When
    the stride and ``cols`` have a common divisor g, a window takes g accesses to assemble, and a
    segment at least g cycles.

    Input rows lie in rings: input row y of a channel group begins ``act_row + (y - y0) * row
    words`` lane words behind the group's base, modulo ``act_ring``.

    Weights: per kernel group ``param_words`` words of requantization parameters, then one word
    per step, in the order of the loops above; the ring address runs on from group to group.

    Result x of a row goes to word ``x * dst_step`` of the row in the output buffer, and to pixel
    ``dst_lane + x * dst_step`` of the row in the activation buffer, where ``dst_step`` must not be
    a multiple of ``cols``.

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
    FIELDS = (
        _LAYER,
        _WAIT_LOAD,
        _WAIT_STORE,
        Field("fence", 1, "1: wait for all earlier compute commands; needed to read their results"),
        Field("maximum", 1, "1: accumulate by maximum instead of sum; weights are 0 or 1"),
        Field("signed", 1, "1: activations are two's complement"),
        Field("to_act", 1, "1: results go to the activation buffer"),
        Field("to_out", 1, "1: results go to the output buffer"),
        Field(
            "segment_log2",
            3,
            "log2 of the rows that share a broadcast: 0 depthwise .. log2(rows) dense",
        ),
        Field("segment", 7, "steps of every segment but those of the last channel group"),
        Field("last_segment", 7, "steps of the segments of the last channel group"),
        Field("n_kg", 12, "kernel groups (of `rows` output channels)"),
        Field("n_oy", 12, "output rows"),
        Field("n_ox", 12, "output words of `cols` pixels per row"),
        Field("n_cg", 12, "channel groups reduced over"),
        Field("n_r", 8, "kernel rows"),
        Field("n_s", 8, "kernel columns"),
        Field("stride_x", 4, "input pixels per output pixel, 1..15"),
        Field("weight_base", 16, "weight word of the first parameter word"),
        Field("act_base", 16, "lane word of the first channel group's ring (mod 2**16)"),
        Field("act_row", 16, "lane words from there to input row y0, below act_ring"),
        Field("act_ring", 16, "lane words of one channel group's ring of rows"),
        Field("kg_step", 16, "lane words from one kernel group's channels to the next (mod 2**16)"),
        Field("cg_step", 16, "lane words from one channel group to the next (mod 2**16)"),
        Field("oy_step", 16, "lane words from one output row's input row to the next, in the ring"),
        Field("r_step", 16, "lane words from one kernel row to the next, in the ring"),
        Field(
            "y0",
            14,
            "input row of output row 0, kernel row 0; rows outside 0..in_h-1 are padding",
            True,
        ),
        Field("oy_dy", 4, "input rows per output row"),
        Field("r_dy", 6, "input rows per kernel row"),
        Field("in_h", 13, "input rows"),
        Field("x0", 10, "input column of output column 0, kernel column 0", True),
        Field("x0_word", 9, "floor(x0 / cols)", True),
        Field("x0_lane", 4, "x0 mod cols"),
        Field("s_dx", 6, "input columns per kernel column"),
        Field("s_word", 6, "s_dx // cols"),
        Field("s_lane", 4, "s_dx mod cols"),
        Field("in_w", 13, "input columns"),
        Field("pad", 8, "byte that stands for every pixel outside the input"),
        Field("zero_point", 9, "added after scaling", True),
        Field("qmin", 9, "smallest result", True),
        Field("qmax", 9, "largest result", True),
        Field("out_w", 13, "valid output pixels per row; at most n_ox * cols"),
        Field("dst_step", 3, "pixels from one result to the next, 1..7"),
        Field("out_base", 16, "output buffer: word of the first result (mod out_depth)"),
        Field("out_kg_step", 16, "output buffer: words per kernel group"),
        Field("out_row_step", 14, "output buffer: words per output row"),
        Field("dst_base", 16, "activation buffer: lane word of the first row's pixel 0"),
        Field("dst_lane", 4, "activation buffer: pixel of the first result, below cols"),
        Field("dst_kg_step", 16, "activation buffer: lane words per kernel group"),
        Field("dst_row_step", 16, "activation buffer: lane words per output row"),
        Field("table", 4, "activation table that results go through, from 1; 0 for none"),
    )
    OPTIONS = TILE_FIELDS

    wait_load: int = 0
    wait_store: int = 0
    fence: int = 0
    maximum: int = 0
    signed: int = 0
    to_act: int = 0
    to_out: int = 1
    segment_log2: int
    segment: int
    last_segment: int
    n_kg: int
    n_oy: int
    n_ox: int
    n_cg: int
    n_r: int
    n_s: int
    stride_x: int
    weight_base: int
    act_base: int
    act_row: int
    act_ring: int
    kg_step: int
    cg_step: int
    oy_step: int
    r_step: int
    y0: int
    oy_dy: int
    r_dy: int
    in_h: int
    x0: int
    x0_word: int
    x0_lane: int
    s_dx: int
    s_word: int
    s_lane: int
    in_w: int
    pad: int
    zero_point: int
    qmin: int
    qmax: int
    out_w: int
    dst_step: int = 1
    out_base: int = 0
    out_kg_step: int = 0
    out_row_step: int = 0
    dst_base: int = 0
    dst_lane: int = 0
    dst_kg_step: int = 0
    dst_row_step: int = 0
    table: int = 0
    transform: int = 0
    taps: int = 0
    coefficients: int = 0
    partial: int = 0
    first: int = 0
    last: int = 0
    tile_h: int = 0
    tile_w: int = 0
    last_h: int = 0
    rows_used: int = 0
    row_shift: int = 0
    row_sign: int = 0
    columns_used: int = 0
    column_shift: int = 0
    column_sign: int = 0
    negative: int = 0
    scale: int = 0
    third: int = 0
    halvings: int = 0

    @property
    def windows(self) -> int:
        """Windows of a channel group, each with a segment of its own."""
        return 1 if self.transform else self.n_r * self.n_s

    def coefficient(self, tap: int) -> int:
        """Return what a tap is multiplied by on its way into the window."""
        return coefficient(self.coefficients >> 4 * tap & 15)


@dataclass(frozen=True, kw_only=True)
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
    FIELDS = (
        _LAYER,
        _WAIT_LOAD,
        _WAIT_STORE,
        Field("fraction", 4, "bits of dy and dx below the point, 0..offset_fraction"),
        Field("mask_fraction", 4, "bits of the mask below the point; 0: there is no mask"),
        Field("dy_least", 8, "the least dy at which samples are taken", True),
        Field("dy_most", 8, "the greatest one", True),
        Field("taps", 16, "n_r * n_s of the compute command"),
        Field("shared", 12, "channel groups of the input that share their positions"),
        Field("row_pitch", 16, "lane words from one input row to the next, odd"),
        Field("first_row", 13, "first input row that is in the ring"),
        Field("rows", 13, "input rows that are in the ring; no others are read"),
        Field("row_base", 16, "lane words from the ring's beginning to first_row, below act_ring"),
        Field("last_parts", 5, "pixels sampled in the last word of a row: least_last_parts..cols"),
        Field("offset_base", 16, "offset buffer: word of the first output pixel's first tap"),
        Field("offset_byte", 6, "byte of that tap's dy in the word, even"),
        Field("mask_base", 16, "offset buffer: word of the first output pixel's first mask"),
        Field("mask_byte", 6, "byte of that mask in the word"),
        Field("row_step", 16, "offset buffer: words from one output row to the next"),
        Field("group_step", 16, "offset buffer: words from one channel group to the next"),
    )

    wait_load: int = 0
    wait_store: int = 0
    fraction: int
    mask_fraction: int = 0
    dy_least: int = -128
    dy_most: int = 127
    taps: int
    shared: int
    row_pitch: int
    first_row: int
    rows: int
    row_base: int
    last_parts: int
    offset_base: int
    offset_byte: int = 0
    mask_base: int = 0
    mask_byte: int = 0
    row_step: int
    group_step: int


@dataclass(frozen=True, kw_only=True)
class Store(Command):
    """Write ``groups`` x ``height`` x ``width`` pixel words from the output buffer to memory.

    They are read in order from ``base``, wrapping at the buffer's end; rows follow one another in
    memory, each padded with zeros to whole bus beats.
    """

    UNIT = Unit.STORE
    OPCODE = 1
    FIELDS = (
        _LAYER,
        _WAIT_LOAD,
        _WAIT_COMPUTE,
        _ADDRESS,
        Field("groups", 16, "channel groups of `rows` channels"),
        Field("group_stride", 32, "bytes from one group to the next"),
        Field("height", 16, "rows per group"),
        Field("width", 16, "pixels per row"),
        Field("base", 16, "first pixel word in the output buffer"),
    )

    wait_load: int = 0
    wait_compute: int = 0
    address: int
    groups: int
    group_stride: int
    height: int
    width: int
    base: int


COMMANDS: tuple[type[Command], ...] = (
    Check,
    Fetch,
    LoadActivations,
    LoadWeights,
    LoadTable,
    LoadOffsets,
    LoadKernelSteps,
    LoadKernels,
    End,
    Compute,
    Deform,
    Store,
)
_OPCODE = Field("opcode", 8, "what the command does")


def encode(command: Command, size: int | None = None) -> bytes:
    """Return a command's bytes, ``size`` of them: what ``EngineConfig.command_bytes`` says.

    Raises
    ------
    EncodeError
        If a value does not fit its field, or the command uses an option that ``size`` leaves out.
    """
    if size is None:
        size = command.UNIT.least_bytes
    values = {f.name: int(getattr(command, f.name)) for f in dataclass_fields(command)}
    word = pack((*command.FIELDS, *command.OPTIONS), values, type(command).__name__)
    word = word << _OPCODE.width | command.OPCODE
    if word >> (8 * size):
        raise EncodeError(f"{type(command).__name__} uses options that the engine does not have")
    return word.to_bytes(size, "little")


def decode(unit: Unit, data: bytes, *, spare: bool = False) -> Command:
    """Return the command that ``data`` holds.

    ``spare``: take no notice of bits above the fields, as engines without ``prefetch``.

    Raises
    ------
    DecodeError
        If the opcode or a bit that must be zero is wrong.
    """
    if len(data) < unit.least_bytes:
        raise DecodeError(f"a {unit.name} command has {unit.least_bytes} bytes, not {len(data)}")
    word = int.from_bytes(data, "little")
    for kind in COMMANDS:
        if kind.UNIT is unit and kind.OPCODE == word & 0xFF:
            fields = (*kind.FIELDS, *kind.OPTIONS)
            used = _OPCODE.width + sum(field.width for field in fields)
            if word >> used and not spare:
                raise DecodeError(f"{kind.__name__}: bits above {used} must be zero")
            return kind(**unpack(fields, word >> _OPCODE.width))
    raise DecodeError(f"{unit.name} has no opcode {word & 0xFF}")


def disassemble(command: Command) -> str:
    """Return a command as one readable line."""
    options = [field for field in command.OPTIONS if getattr(command, field.name)]
    values = " ".join(f"{f.name}={getattr(command, f.name)}" for f in (*command.FIELDS, *options))
    return f"{command.UNIT.name.lower()}.{type(command).__name__} {values}"
