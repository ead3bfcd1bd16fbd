"""The inner loops of a compute command: channel group, kernel row, kernel column."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.commands.records import command_layout
from tilewright.hdl.lib.loops import LoopCounter, RingStep
from tilewright.hdl.sequence.passes import pass_layout
from tilewright.isa import Compute
from tilewright.isa.tiles import MAX_TAPS
from tilewright.isa.widths import ROW_WIDTH, act_addr_width, column_width

__all__ = ["TapSequencer", "segment_layout"]


def segment_layout(config):
    """Return the description of one segment: a window, and the steps that it is used for."""
    narrow = {"narrow": 1} if config.offset_depth else {}  # its pass is the last one of its row
    shared = {"room": 5} if config.shared_words else {}  # pixels of the first row
    wide = {"low": 1} if config.wide_maps else {}  # its pixels are low bytes of 16 bits
    # Input row that the last row of results of an image reads instead of ``y``.
    stacked = {"edge": signed(ROW_WIDTH)} if config.stacked_images else {}
    return data.StructLayout(
        narrow
        | shared
        | wide
        | stacked
        | {
            "group": act_addr_width(config),  # lane word of the channel group's ring
            # lane words from there to the kernel row's input column 0
            "row": act_addr_width(config),
            "y": signed(ROW_WIDTH),  # input row
            "x": signed(column_width(config)),  # input column of output pixel 0
            "word": act_addr_width(config),  # floor(x / cols)
            "lane": range(config.cols),  # x mod cols
            "short": 1,  # of the last channel group
            "tap": range(MAX_TAPS),  # which of those that make a window together
            "opens": 1,  # in the first window of its pass
            "closes": 1,  # last tap of its window
            "first": 1,  # first segment of its pass
            "last": 1,  # last segment of its pass
            "new_kg": 1,  # first segment of its kernel group
            "first_of_command": 1,  # its pass is the command's first
            "first_of_kg": 1,  # its pass is its kernel group's first
            "last_of_command": 1,  # its pass is the command's last
        }
    )


class _First:
    """Registers: where the pass's first window is, to which each kernel row returns."""

    def __init__(self, segment, lane):
        self.x = Signal.like(segment.x, name="first_x")
        self.word = Signal.like(segment.word, name="first_word")
        self.y = Signal.like(segment.y, name="first_y")
        self.row = Signal.like(segment.row, name="first_row")
        self.lane = Signal.like(segment.lane, name="first_lane") if lane is None else lane


class TapSequencer(wiring.Component):
    """Describe the segments of each pass, one after another.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    command : In(Compute layout)
    i : In(stream of pass_layout)
    o : Out(stream of segment_layout)

    Timing
    ------
    The first segment of a pass is valid ``latency(config)`` cycles after ``i``, or in the cycle
    after the last segment of the pass before, if ``i`` came in time. The next segment is valid in
    the cycle after each transfer. A pass must last two cycles.
    """

    @classmethod
    def latency(cls, config):
        """Return the cycles from a pass to its first segment."""
        return 2 if config.pipelined else 1

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "command": In(command_layout(Compute, config)),
                "i": In(stream.Signature(pass_layout(config))),
                "o": Out(stream.Signature(segment_layout(config))),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config, o = self._config, self.o.payload
        p = Signal(pass_layout(config), reset_less=True)
        waiting = Signal()
        load, step = Signal(), Signal()
        m.d.comb += [
            step.eq(self.o.valid & self.o.ready),
            load.eq(waiting & (~self.o.valid | (step & o.last))),
        ]
        r, s = self._loops(m, step)
        self._take(m, p, waiting, load)
        with m.If(load):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(step & o.last):
            m.d.sync += self.o.valid.eq(0)
        any_lane = config.shared_words or config.split_columns
        first = _First(o, None if any_lane else self.command.x0_lane)
        column_steps, row = self._column_steps(m), self._next_row(m)
        # Which way it goes on does not depend on `o.ready`, which is late.
        with m.If(~self.o.valid | self.o.ready):
            with m.If(~self.o.valid | o.last):
                self._begin(m, p, first)
            with m.Else():
                self._go_on(m, r, s, first, column_steps, row)
        return m

    def _loops(self, m, step):
        """Count channel groups, kernel rows and columns; return the last two."""
        config, c, o = self._config, self.command, self.o.payload
        m.submodules.cg = cg = LoopCounter(width=min(len(c.n_cg), act_addr_width(config) + 1))
        m.submodules.r = r = LoopCounter(width=len(c.n_r))
        m.submodules.s = s = LoopCounter(width=len(c.n_s))
        # A product's factor is kept, and waits for the window behind it.
        keeps = Signal()
        if config.multiplies_maps:
            m.d.sync += keeps.eq((c.segment == 0) & ~c.r_dy[0])
        m.d.comb += [
            cg.count.eq(c.n_cg),
            r.count.eq(c.n_r),
            s.count.eq(c.n_s),
            # After a pass they begin again by themselves.
            cg.start.eq(~self.o.valid),
            r.start.eq(~self.o.valid),
            s.start.eq(~self.o.valid),
            s.step.eq(step),
            r.step.eq(step & s.last),
            cg.step.eq(step & s.last & r.last),
            o.short.eq(cg.last),
            o.last.eq(s.last & r.last & cg.last),
            o.closes.eq(
                ((s.last & r.last) | ~c.transform if config.partial_depth else 1)
                & (cg.last | ~keeps)
            ),
        ]
        return r, s

    def _take(self, m, p, waiting, load):
        """Take the next pass into ``p``, where it waits until ``load``."""
        if self._config.pipelined:
            # So that the loops above and below are apart.
            m.d.comb += self.i.ready.eq(~waiting)
            with m.If(~waiting):
                m.d.sync += [p.eq(self.i.payload), waiting.eq(self.i.valid)]
            with m.Elif(load):
                m.d.sync += waiting.eq(0)
        else:
            m.d.comb += [
                p.eq(self.i.payload),
                waiting.eq(self.i.valid),
                self.i.ready.eq(load),
            ]

    def _column_steps(self, m):
        """Return the steps of lane and word to the next kernel column."""
        config, c = self._config, self.command
        # Without and with a wrap of the lane.
        wraps_from = Signal(range(config.cols + 1))
        lane_steps = [Signal(signed(5), name=f"lane_step_{k}") for k in range(2)]
        word_steps = [Signal(9, name=f"word_step_{k}") for k in range(2)]
        wraps = Signal()
        m.d.sync += [
            wraps_from.eq(config.cols - c.s_lane),
            lane_steps[0].eq(c.s_lane),
            lane_steps[1].eq(c.s_lane - config.cols),
            word_steps[0].eq(c.s_word),
            word_steps[1].eq(c.s_word + 1),
        ]
        m.d.comb += wraps.eq(self.o.payload.lane >= wraps_from)
        return Mux(wraps, lane_steps[1], lane_steps[0]), Mux(wraps, word_steps[1], word_steps[0])

    def _next_row(self, m):
        """Return the ring's row of the next kernel row."""
        c = self.command
        m.submodules.next_row = next_row = RingStep(width=act_addr_width(self._config))
        m.d.comb += [
            next_row.ring.eq(c.act_ring),
            next_row.step.eq(c.r_step),
            next_row.i.eq(self.o.payload.row),
        ]
        return next_row.o

    def _begin(self, m, p, first):
        """Go to the first segment of a pass."""
        config, o = self._config, self.o.payload
        if config.offset_depth:
            m.d.sync += o.narrow.eq(p.narrow)
        any_lane = config.shared_words or config.split_columns
        if any_lane:
            m.d.sync += first.lane.eq(p.lane)
        if config.shared_words:
            m.d.sync += o.room.eq(p.room)
        if config.wide_maps:
            m.d.sync += o.low.eq(self.command.low_first & self.command.wide_in)
        if config.stacked_images:
            m.d.sync += o.edge.eq(self.command.edge_y)
        m.d.sync += [
            first.x.eq(p.x),
            first.word.eq(p.word),
            first.y.eq(p.y),
            first.row.eq(p.row),
            o.group.eq(p.group),
            o.row.eq(p.row),
            o.y.eq(p.y),
            o.x.eq(p.x),
            o.word.eq(p.word),
            o.lane.eq(p.lane if any_lane else first.lane),
            o.first.eq(1),
            o.opens.eq(1),
            o.tap.eq(0),
            o.new_kg.eq(p.first_of_kg),
            o.first_of_command.eq(p.first_of_command),
            o.first_of_kg.eq(p.first_of_kg),
            o.last_of_command.eq(p.last_of_command),
        ]

    def _go_on(self, m, r, s, first, column_steps, row):
        """Go to the next segment: kernel column, kernel row or channel group."""
        c, o = self.command, self.o.payload
        lane_step, word_step = column_steps
        m.d.sync += [o.first.eq(0), o.new_kg.eq(0), o.tap.eq(o.tap + 1)]
        with m.If(o.closes):
            m.d.sync += [o.tap.eq(0), o.opens.eq(0)]
        with m.If(~s.last):
            m.d.sync += [
                o.x.eq(o.x + c.s_dx),
                o.lane.eq(o.lane + lane_step),
                o.word.eq(o.word + word_step),
            ]
        with m.Else():
            m.d.sync += [o.x.eq(first.x), o.word.eq(first.word), o.lane.eq(first.lane)]
            with m.If(~r.last):
                m.d.sync += [o.row.eq(row), o.y.eq(o.y + c.r_dy)]
                if self._config.wide_maps:
                    m.d.sync += o.low.eq(c.wide_in & ~o.low)
                if self._config.stacked_images:
                    m.d.sync += o.edge.eq(o.edge + c.r_dy)
            with m.Else():
                if self._config.wide_maps:
                    m.d.sync += o.low.eq(c.wide_in & c.low_first)
                if self._config.stacked_images:
                    m.d.sync += o.edge.eq(c.edge_y)
                m.d.sync += [
                    o.group.eq(o.group + c.cg_step),
                    o.row.eq(first.row),
                    o.y.eq(first.y),
                ]
