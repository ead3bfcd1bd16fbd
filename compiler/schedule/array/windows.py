"""Where windows come from: places on the grid of the input, or of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import ClassVar, NotRequired, TypedDict

from tilewright.compiler.ir import TensorType
from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.section import Section
from tilewright.compiler.schedule.array.work import Chunk, Work, cut_at
from tilewright.isa import Compute, Deform, EngineConfig
from tilewright.isa.passes import PassShape, window_parts

_WORD = 1 << 16
#: Input rows that a command can count, and columns.
_MOST_PIXELS = (1 << 13) - 1


@dataclass(frozen=True)
class Operand:
    """Channel groups that an operation reads, of stored values that lie one behind the other.

    Parameters
    ----------
    parts : value names; a concatenation has several
    first : int, channel groups of the first part that are left out
    """

    parts: tuple[str, ...]
    first: int = 0


class WindowFields(TypedDict):
    """What a compute command says of windows; fields of :class:`~tilewright.isa.Compute`."""

    signed: int
    n_r: int
    n_s: int
    stride_x: int
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
    wide_in: NotRequired[int]
    stacked: NotRequired[int]
    edge_y: NotRequired[int]
    edge_dy: NotRequired[int]
    edge_step: NotRequired[int]
    transform: NotRequired[int]
    taps: NotRequired[int]
    coefficients: NotRequired[int]


@dataclass(frozen=True)
class PositionSource:
    """A value of which the rows of the output are loaded as positions.

    ``half`` : of the offset buffer that they may be in, 0 or 1; None for all of it.
    """

    value: str
    half: int | None


@dataclass(frozen=True)
class PositionPlace:
    """Where rows of positions lie: their first word in the buffer, and words of a row."""

    base: int
    row_step: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """Windows on the grid of the input.

    Parameters
    ----------
    operands : Operand; all are read alike
    type : TensorType of the input, or of each of them
    kernel, stride, dilation : (vertical, horizontal)
    padding : (top, left); negative where the first window begins inside the input
    pad : int, what stands for pixels outside the input
    band : rows of the input that are read, as (first, end), which are all there are to windows;
        None for all of them
    wide : rows of the input are of high and of low bytes in turns, and so are those of the kernel
    images, own : rows of results are those of so many images, one behind the other, of each so
        many; and so are the input's, of which ``type`` is of one image
    """

    operands: tuple[Operand, ...]
    type: TensorType
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    pad: int = 0
    band: tuple[int, int] | None = None
    wide: bool = False
    images: int = 1
    own: int = 0

    #: Rows on chip are read two at a time: a ring has an even number of an odd number of words.
    pairs_of_rows: ClassVar[bool] = False
    #: Pixels of a window lie a stride apart, where the fields of a command say.
    on_grid: ClassVar[bool] = True
    #: All kernel groups of some rows take turns, since what is loaded for these rows is the same.
    row_by_row: ClassVar[bool] = False
    #: A command of its own before each waits for all results, however few cycles have passed.
    waits: ClassVar[bool] = False
    #: What a kernel group reduces over can be cut into parts.
    divisible: ClassVar[bool] = True
    #: Words of a row that may take fewer cycles than the others.
    quick_words: ClassVar[int] = 0
    #: How people call it, where it is not direct.
    algorithm: ClassVar[str] = ""

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the stored values that are read, each once."""
        return tuple(dict.fromkeys(v for operand in self.operands for v in operand.parts))

    @property
    def positions(self) -> tuple[PositionSource, ...]:
        """Values in memory that say where windows are."""
        return ()

    @property
    def neighbours(self) -> tuple[tuple[str, str], ...]:
        """Values that must lie on chip one right behind the other."""
        return tuple(pair for operand in self.operands for pair in pairwise(operand.parts))

    @property
    def planes(self) -> int:
        """Channel groups that are read for each one of the layer's input."""
        return 1

    @property
    def groups(self) -> int:
        """Channel groups that a kernel group reads whose channels stay apart."""
        return self.planes

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """Rows of the input outside of which there is padding, as (first, end)."""
        return self.band or (0, self.type.shape[1])

    @cached_property
    def reach(self) -> tuple[int, int]:
        """Rows of the input that row 0 of the results reads, as (first, end)."""
        first = self.bounds[0] - self.padding[0]
        return first, first + (self.kernel[0] - 1) * self.dilation[0] + 1

    @cached_property
    def column_reach(self) -> tuple[int, int]:
        """Columns of the input that column 0 of the results reads, as (first, end)."""
        first = -self.padding[1]
        return first, first + (self.kernel[1] - 1) * self.dilation[1] + 1

    def input_rows(self, first: int, end: int) -> tuple[int, int]:
        """Return the input rows that results' rows ``first .. end - 1`` read, as (first, end).

        Rows outside the input are left out; nothing to compute, or padding only, is an empty range
        inside the input.
        """
        if self.images == 1:
            return clipped(self.bounds, *self.unclipped(first, end))
        image, row = divmod(first, self.own)
        low, high = clipped(self.bounds, *self.unclipped(row, row + (end > first)))
        low += image * self._height
        if end <= first:
            return low, low
        last, row = divmod(end - 1, self.own)
        high = clipped(self.bounds, *self.unclipped(row, row + 1))[1]
        return low, last * self._height + high

    def unclipped(self, first: int, end: int) -> tuple[int, int]:
        """Return what :meth:`input_rows` does, with rows outside the input."""
        above, below = self.reach
        low = first * self.stride[0] + above
        return low, (end - 1) * self.stride[0] + below if end > first else low

    def part_rows(self, first: int, end: int, kernel_rows: range) -> tuple[int, int]:
        """Return what :meth:`input_rows` does, for some rows of the kernel only."""
        return clipped(self.bounds, *self.unclipped_part(first, end, kernel_rows))

    def unclipped_part(self, first: int, end: int, kernel_rows: range) -> tuple[int, int]:
        """Return what :meth:`part_rows` does, with rows outside the input."""
        step, top = self.stride[0], self.bounds[0] - self.padding[0]
        low = first * step + top + kernel_rows.start * self.dilation[0]
        high = (end - 1) * step + top + (kernel_rows.stop - 1) * self.dilation[0] + 1
        return low, high if end > first else low

    @property
    def shared_groups(self) -> int:
        """Channel groups with positions of their own together; 0 where there are no positions."""
        return 0

    def sources(self, cg: int, groups: range) -> tuple[tuple[int, int, int], ...]:
        """Return which channel groups of which operands some of a pass's channel groups are.

        As (number of the operand, its first one, how many); ``cg`` : the pass's first, counted over
        the operand.
        """
        return ((0, cg + groups.start, len(groups)),)

    def parts(self, config: EngineConfig) -> int:
        """Return the accesses to a lane that one window takes."""
        return window_parts(config, self.stride[1])

    def lead_parts(self, config: EngineConfig) -> int:
        """Return those of the first one, for which a kernel group waits."""
        return self.parts(config)

    def per_channel_group(self, section: Section) -> int:
        """Return the windows of a channel group, each with a segment of its own."""
        return 1 if section.tap is not None else self.kernel[0] * self.kernel[1]

    def pass_shape(
        self, config: EngineConfig, section: Section, segments: tuple[int, int, int]
    ) -> PassShape:
        """Return what a pass runs through.

        ``segments`` : channel groups per kernel group, steps of a segment, and of the last group's
        """
        groups, segment, last = segments
        if section.split:
            segment, last = (min(steps, config.rows // 2) for steps in (segment, last))
        windows = self.per_channel_group(section)
        return PassShape(windows=windows, groups=groups, segment=segment, last_segment=last)

    def steps_before(self, segment: int) -> int:
        """Return what a command says of the steps of segments before the last channel group's."""
        return segment

    def at_once(self, config: EngineConfig, chunk: Chunk) -> Chunk:
        """Return how much of some results can be computed together.

        Of a large input, so much that a command can count the rows and columns that it reads.
        """
        _, _, width = self.type.shape
        if max(self._height, width) <= _MOST_PIXELS:
            return chunk
        (top, bottom), (left, right) = self.reach, self.column_reach
        rows = (_MOST_PIXELS - bottom + top) // self.stride[0]
        # Whole words may be in front of the first window.
        columns = (_MOST_PIXELS - config.cols - right + left) // self.stride[1]
        columns = chunk.columns if chunk.columns <= columns else cut_at(config, columns, 1)
        return chunk._replace(rows=min(chunk.rows, rows), columns=columns)

    @property
    def _height(self) -> int:
        first, end = self.bounds
        return end - first

    def rows_above(self, work: Work) -> int:
        """Return the rows from which a command counts: 0, unless it could not count them all."""
        if self._height <= _MOST_PIXELS:
            return 0
        return max(0, work.first * self.stride[0] - self.padding[0])

    def too_large(
        self, words: int, rings: Mapping[str, Ring], config: EngineConfig
    ) -> tuple[str, str]:
        """Return why rows of so many lane words do not fit on chip, and what helps beside room."""
        return f"the input rows of one output row take {words} words of each lane", ""

    def fields(self, config: EngineConfig, work: Work, *, per_group: bool) -> WindowFields:
        """Return what the command of some work says of its windows."""
        ring = work.rings[0]
        skipped, in_w = self._skipped(config, work)
        above = self.rows_above(work)
        image, first = divmod(work.first, self.own) if self.images > 1 else (0, work.first)
        y0 = first * self.stride[0] - self.padding[0]
        x0 = work.columns[0] * self.stride[1] - self.padding[1]
        x0 -= work.held[0] + skipped * config.cols
        (row, column), kernel = self.tap_box(work)
        y0, x0 = y0 + row, x0 + column
        fields: WindowFields = {
            "signed": int(self.type.signed),
            "n_r": kernel[0],
            "n_s": kernel[1],
            "stride_x": self.stride[1],
            "act_base": ring.base + (work.cg - ring.first) * ring.words + skipped,
            "act_row": ring.offset(self.bounds[0] + y0 + image * self._height),
            "act_ring": ring.words,
            "kg_step": self.planes * ring.words if per_group else 0,
            "cg_step": self.group_step(work),
            "oy_step": ring.offset(self.stride[0]),
            "r_step": ring.offset(self.dilation[0]),
            "y0": y0 - above,
            "oy_dy": self.stride[0],
            "r_dy": self.dilation[0],
            "in_h": min(self._height - above, _MOST_PIXELS),
            "x0": x0,
            "x0_word": x0 // config.cols,
            "x0_lane": x0 % config.cols,
            "s_dx": self.dilation[1],
            "s_word": self.dilation[1] // config.cols,
            "s_lane": self.dilation[1] % config.cols,
            "in_w": min(in_w, _MOST_PIXELS),
            "pad": self.pad & 0xFF,
        }
        if self.wide:
            fields["wide_in"] = 1
        if first + work.end - work.first > self.own > 0:
            rows = (self.own - 1) * self.stride[0]  # from an image's first row of results
            fields["stacked"] = 1
            fields["edge_y"] = rows - self.padding[0] + row
            fields["edge_dy"] = -rows
            fields["edge_step"] = ring.offset(self._height - rows)
        return fields

    def tap_box(self, work: Work) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return where the taps of some work begin, in rows and columns, and (rows, columns)."""
        if work.section.tap is None:
            return (0, 0), self.kernel
        r, s = divmod(work.section.tap, self.kernel[1])
        return (r * self.dilation[0], s * self.dilation[1]), (1, 1)

    def _skipped(self, config: EngineConfig, work: Work) -> tuple[int, int]:
        """Return the words of a row in front of all windows, and the columns behind those."""
        first, end = work.held
        read = work.columns[0] * self.stride[1] + self.column_reach[0]
        words = min(max(read - first, 0), end - first - 1) // config.cols
        return words, end - first - words * config.cols

    def group_step(self, work: Work) -> int:
        """Return the lane words from one channel group that is read to the next."""
        return work.rings[0].words

    def lead(
        self, config: EngineConfig, work: Work, command: Compute, places: tuple[PositionPlace, ...]
    ) -> Deform | None:
        """Return the command that must come before one, or None."""
        return None


@dataclass(frozen=True, kw_only=True, eq=False)
class JoinedWindows(Windows):
    """Windows of several inputs of one shape, which are read like as many channel groups.

    More than two must be neighbours on chip, so that they lie at one distance, or channel groups of
    one value that do.
    """

    @property
    def groups(self) -> int:
        """Channel groups that a kernel group reads whose channels stay apart."""
        return len(self.operands)

    @property
    def neighbours(self) -> tuple[tuple[str, str], ...]:
        """Values that must lie on chip one right behind the other."""
        if len(self.operands) == 2 or len({operand.parts for operand in self.operands}) == 1:
            return super().neighbours
        return tuple(pairwise(part for operand in self.operands for part in operand.parts))

    def sources(self, cg: int, groups: range) -> tuple[tuple[int, int, int], ...]:
        """Return which operands some of a pass's channel groups are."""
        return tuple((number, cg, 1) for number in groups)

    def group_step(self, work: Work) -> int:
        """Return the lane words from one operand to the next."""
        steps = {(b.base - a.base) % _WORD for a, b in pairwise(work.rings)}
        assert len(steps) == 1, "operands at several distances"
        return steps.pop()


def clipped(bounds: tuple[int, int], first: int, end: int) -> tuple[int, int]:
    """Return which of ``first .. end - 1`` are within bounds, (first, end) as what is returned."""
    low, high = bounds
    return min(max(first, low), high), min(max(end, low), high)
