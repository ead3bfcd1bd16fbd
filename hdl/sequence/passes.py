"""The outer loops of a compute command: kernel group, output row, output word."""

from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.commands.records import command_layout
from tilewright.hdl.lib.loops import LoopCounter
from tilewright.hdl.sequence.rows import ends_image, next_row, next_y
from tilewright.isa import Compute
from tilewright.isa.widths import (
    ROW_WIDTH,
    act_addr_width,
    column_width,
    out_addr_width,
    result_count_width,
)

__all__ = ["PassSequencer", "pass_layout"]


def pass_layout(config):
    """Return the description of one pass: ``rows`` channels of one word of output pixels."""
    # The last one of its row, with as many pixels as are left.
    narrow = {"narrow": 1} if config.offset_depth else {}
    # Where words begin in any lane, x mod cols; where rows share them, pixels of the first row.
    shared = {"room": 5} if config.shared_words else {}
    if config.shared_words or config.split_columns:
        shared = {"lane": range(config.cols)} | shared
    if config.split_columns:
        shared["fresh"] = 1  # the first one of its row, or kernel group
    return data.StructLayout(
        narrow
        | shared
        | {
            "group": act_addr_width(config),  # lane word of the first channel group's ring
            "row": act_addr_width(config),  # lane words from there to kernel row 0, input column 0
            "y": signed(ROW_WIDTH),  # input row of kernel row 0
            "x": signed(column_width(config)),  # input column of output pixel 0, kernel column 0
            "word": act_addr_width(config),  # floor(x / cols)
            # lane word of the first result, where they go to the activation buffer
            "dst": act_addr_width(config),
            # word of the first result, where they go to the output buffer
            "out": out_addr_width(config),
            "pixels": range(config.cols + 1),  # valid output pixels
            "first_of_command": 1,
            "first_of_kg": 1,
            "last_row": 1,  # of output rows
            "last_of_command": 1,
        }
    )


class _Ends(NamedTuple):
    """Whether a row, a kernel group of rows ends with the pass."""

    row: Value
    kg: Value


class PassSequencer(wiring.Component):
    """Describe the passes of a command, one after another.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    command : In(Compute layout); stable from ``start`` until its last pass has left the array
    start : In(1); the pass before is gone
    o : Out(stream of pass_layout)
    sampled : In(1), last_parts : In(5); only in engines with a sampler: as in PaceSequencer
    overrun : Out(1); then, a pass is taken that has more pixels than are sampled

    Timing
    ------
    ``o`` is valid in the cycle after ``start``, and again in the cycle after each transfer until
    the last pass is gone; where rows share words, as many cycles later as rows end in the pass
    before.
    """

    def __init__(self, config):
        self._config = config
        sampler = {"sampled": In(1), "last_parts": In(5), "overrun": Out(1)}
        super().__init__(
            {
                "command": In(command_layout(Compute, config)),
                "start": In(1),
                "o": Out(stream.Signature(pass_layout(config))),
                **(sampler if config.offset_depth else {}),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config, c, o = self._config, self.command, self.o.payload
        # The first pass lies ready before the start, which so reaches but one register.
        ready, step = Signal(), Signal()
        row_ends = Signal()  # where rows share words: the pass before ended in or after this row
        m.d.comb += [
            ready.eq(~self.o.valid & ~row_ends),
            step.eq(self.o.valid & self.o.ready),
        ]
        # Words are counted over all rows.
        shared = Signal()
        if config.shared_words:
            m.d.sync += shared.eq(c.accesses.any())  # the command is there with ``start``
        ends = self._loops(m, ready, step, shared)
        image_ends = ends_image(c, o.y, c.edge_y) if config.stacked_images else None
        following = next_row(m, config, c, o, image_ends)
        following_y = next_y(c, o.y, image_ends)

        # Output pixels in this row from this pass on; where rows share words, none may be left.
        width = min(len(c.out_w), result_count_width(config))
        left = Signal(signed(width + 1) if config.shared_words else width)
        whole = Signal()
        m.d.comb += [
            whole.eq(left >= self._word),
            o.pixels.eq(Mux(whole, self._word, left[:5])),
        ]
        if config.offset_depth:
            m.d.comb += [
                o.narrow.eq(ends.row),
                self.overrun.eq(self.sampled & step & ends.row & (o.pixels > self.last_parts)),
            ]

        with m.If(self.start):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(step & o.last_of_command):
            m.d.sync += self.o.valid.eq(0)
        self._places(m, ready, step, ends, following, following_y)
        self._columns(m, ready, step, ends, left)
        if config.shared_words:
            self._share_words(
                m,
                following,
                following_y,
                left=left,
                step=step & shared & ~ends.row,
                row_ends=row_ends,
            )
            with m.If(shared):
                m.d.comb += o.pixels.eq(Mux(ends.row, c.last_pixels, self._word))
            m.d.comb += o.room.eq(Mux(shared & ~whole, left[:5], self._word))
        if config.shared_words or config.split_columns:
            with m.If(ready | (step & ends.row)):
                m.d.sync += o.lane.eq(c.x0_lane)
        if config.split_columns:
            with m.If(ready | step):
                m.d.sync += o.fresh.eq(ready | ends.row)
        return m

    @property
    def _word(self):
        """Pixels of a word."""
        return self._of_word(1)

    def _of_word(self, stride):
        """Return the columns of the input from a word to the next."""
        whole, half = stride * self._config.cols, stride * (self._config.cols // 2)
        return Mux(self.command.split, half, whole) if self._config.split_columns else whole

    def _loops(self, m, ready, step, shared):
        """Count words, rows and kernel groups; return which ends with the pass: row, kg."""
        config, c, o = self._config, self.command, self.o.payload
        count_width = min(len(c.n_ox), result_count_width(config))
        m.submodules.ox = ox = LoopCounter(width=count_width)
        m.submodules.oy = oy = LoopCounter(width=count_width)
        m.submodules.kg = kg = LoopCounter(width=count_width)
        last_row = Signal()
        m.d.comb += [
            ox.count.eq(c.n_ox),
            oy.count.eq(c.n_oy),
            kg.count.eq(c.n_kg),
            ox.start.eq(ready),
            oy.start.eq(ready),
            kg.start.eq(ready),
            ox.step.eq(step),
            oy.step.eq(step & ox.last),
            kg.step.eq(step & ox.last & last_row),
            last_row.eq(oy.last | shared),
            o.last_row.eq(oy.last),
            o.last_of_command.eq(ox.last & last_row & kg.last),
        ]
        return _Ends(row=ox.last, kg=last_row)

    def _tile_rows(self, m):
        """Return the steps of ``dst`` and ``out`` from one pass to those below: a tile's rows.

        Or those of both bytes.
        """
        c, o = self.command, self.o.payload
        if self._config.wide_maps:
            steps = [Signal.like(o.dst), Signal.like(o.out)]
            for step, row in zip(steps, (c.dst_row_step, c.out_row_step), strict=True):
                m.d.sync += step.eq(Mux(c.wide_out, row << 1, row))
            return steps
        if not self._config.partial_depth:
            return c.dst_row_step, c.out_row_step
        dst_row, out_row = Signal.like(o.dst), Signal.like(o.out)
        with m.Switch(Mux(c.partial, c.tile_h, 1)):
            for count in range(1, 5):
                with m.Case(count):
                    m.d.sync += [
                        dst_row.eq(c.dst_row_step * count),
                        out_row.eq(c.out_row_step * count),
                    ]
        return dst_row, out_row

    def _places(self, m, ready, step, ends, following, following_y):
        """Go from word to word, row to row and kernel group to kernel group: input and results."""
        config, c, o = self._config, self.command, self.o.payload
        # A few bits: the product is a small table, not a multiplier. The command is there with
        # ``start``, and no pass leaves before the next cycle.
        results_per_word = Signal(8)
        with m.Switch(c.dst_step):
            for dst_step in range(8):
                with m.Case(dst_step):
                    m.d.sync += results_per_word.eq(dst_step * config.cols)
        dst_row, out_row = self._tile_rows(m)
        # Where the results of the row, of the kernel group begin.
        kg_dst, row_dst = Signal.like(o.dst), Signal.like(o.dst)
        kg_out, row_out = Signal.like(o.out), Signal.like(o.out)
        with m.If(ready):
            m.d.sync += [
                o.group.eq(c.act_base),
                o.row.eq(c.act_row),
                o.y.eq(c.y0),
                *(value.eq(c.dst_base) for value in (o.dst, kg_dst, row_dst)),
                *(value.eq(c.out_base) for value in (o.out, kg_out, row_out)),
                o.first_of_command.eq(1),
                o.first_of_kg.eq(1),
            ]
        with m.Elif(step):
            m.d.sync += [o.first_of_command.eq(0), o.first_of_kg.eq(0)]
            with m.If(~ends.row):
                m.d.sync += [o.dst.eq(o.dst + c.dst_step), o.out.eq(o.out + results_per_word)]
            with m.Elif(~ends.kg):
                m.d.sync += [
                    o.row.eq(following.row),
                    o.y.eq(following_y),
                    *(value.eq(row_dst + dst_row) for value in (o.dst, row_dst)),
                    *(value.eq(row_out + out_row) for value in (o.out, row_out)),
                ]
            with m.Else():
                m.d.sync += [
                    o.group.eq(o.group + c.kg_step),
                    o.row.eq(c.act_row),
                    o.y.eq(c.y0),
                    *(value.eq(kg_dst + c.dst_kg_step) for value in (o.dst, kg_dst, row_dst)),
                    *(value.eq(kg_out + c.out_kg_step) for value in (o.out, kg_out, row_out)),
                    o.first_of_kg.eq(1),
                ]

    def _columns(self, m, ready, step, ends, left):
        """Go along a row of the input, word by word."""
        config, c, o = self._config, self.command, self.o.payload
        pixels_per_word = Signal(8)  # a small table, too
        with m.Switch(c.stride_x):
            for stride in range(16):
                with m.Case(stride):
                    m.d.sync += pixels_per_word.eq(self._of_word(stride))
        word, lane = o.word + c.stride_x, None
        if config.split_columns:
            word, lane = self._next_lane(m)
        with m.If(ready | step):
            with m.If(ready | ends.row):
                m.d.sync += [o.x.eq(c.x0), o.word.eq(c.x0_word), left.eq(c.out_w)]
            with m.Else():
                m.d.sync += [
                    o.x.eq(o.x + pixels_per_word),
                    o.word.eq(word),
                    left.eq(left - self._word),
                    *([] if lane is None else [o.lane.eq(lane)]),
                ]

    def _next_lane(self, m):
        """Return word and lane of the next word's first pixel; of half a word, in any lane."""
        config, c, o = self._config, self.command, self.o.payload
        cols, half = config.cols, config.cols // 2
        words, lanes, wraps_from = Signal(4), Signal(range(cols)), Signal(range(cols + 1))
        with m.Switch(c.stride_x):
            for stride in range(16):
                with m.Case(stride):
                    further, lane = divmod(stride * half, cols)
                    m.d.sync += [
                        words.eq(Mux(c.split, further, stride)),
                        lanes.eq(Mux(c.split, lane, 0)),
                        wraps_from.eq(Mux(c.split, cols - lane, cols)),
                    ]
        wraps = o.lane >= wraps_from
        return o.word + words + wraps, o.lane + lanes - Mux(wraps, cols, 0)

    def _share_words(self, m, following, following_y, *, left, step, row_ends):
        """Go on to the row in which the next pass begins, a row a cycle.

        ``step`` : to the next pass of the kernel group, in words that rows share
        """
        c, o = self.command, self.o.payload
        with m.If(step & (left <= self._word)):
            m.d.sync += [self.o.valid.eq(0), row_ends.eq(1)]
        with m.If(row_ends):
            rest = Signal.like(left)
            m.d.comb += rest.eq(left + c.out_w)
            m.d.sync += [
                left.eq(rest),
                o.row.eq(following.row),
                o.y.eq(following_y),
                o.x.eq(following.x),
                o.word.eq(following.word),
                o.lane.eq(following.lane),
            ]
            with m.If(rest > 0):
                m.d.sync += [self.o.valid.eq(1), row_ends.eq(0)]
