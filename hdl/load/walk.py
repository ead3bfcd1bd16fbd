"""Where the words of a load go."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.lib.loops import LoopCounter
from tilewright.hdl.lib.skid import SkidBuffer
from tilewright.isa import EngineConfig
from tilewright.isa.widths import load_addr_width, load_count_width

__all__ = ["Walk"]


class Walk(wiring.Component):
    """Lane and address of word after word of a load.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    start : In(1)             begin with the first word; the inputs below must stay until ``final``
    lanes : In(1)             1: pixels go to lane after lane, 0: words go to address after address
    groups, height, width : In(load_count_width)   words to come, each at least 1
    base, row_step, group_step : In   as in LoadActivations, as wide as ``addr``
    take : In(1)              on to the next word; the first two cycles after ``start`` or later
    last : Out(1)             the next word is the last of its row
    wait : Out(1)             the next word goes to the lane of the word before
    lane : Out(range(cols))   of the word taken last
    addr : Out(load_addr_width)
    final : Out(1)            it is the last word of all

    Timing
    ------
    Outputs are registers; one word per cycle. Every word must be taken before the next ``start``.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        count = load_count_width(config)
        addr = load_addr_width(config)
        super().__init__(
            {
                "start": In(1),
                "lanes": In(1),
                "groups": In(count),
                "height": In(count),
                "width": In(count),
                "base": In(addr),
                "row_step": In(addr),
                "group_step": In(addr),
                "take": In(1),
                "last": Out(1),
                "wait": Out(1),
                "lane": Out(range(config.cols)),
                "addr": Out(addr),
                "final": Out(1),
            }
        )

    @property
    def config(self) -> EngineConfig:
        """The engine."""
        return self._config

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        following = described = self._describe(m)
        if self._config.pipelined:
            m.submodules.ahead = ahead = SkidBuffer(described.payload.shape())
            wiring.connect(m, described, ahead.i)
            following = ahead.o
        m.d.comb += [
            following.ready.eq(self.take),
            self.last.eq(following.payload.last),
            self.wait.eq(following.payload.wait),
        ]
        with m.If(self.start):
            m.d.sync += self.final.eq(0)
        with m.If(self.take):
            m.d.sync += [
                self.lane.eq(following.payload.lane),
                self.addr.eq(following.payload.addr),
                self.final.eq(following.payload.final),
            ]
        return m

    def _describe(self, m):
        """Describe words ahead of their arrival.

        What comes after a word is then no part of the way from the bus to its buffer.
        """
        config = self._config
        layout = {
            "lane": range(config.cols),
            "addr": len(self.addr),
            "last": 1,
            "final": 1,
            "wait": 1,
        }
        m.submodules.x = x = LoopCounter(width=len(self.width))
        m.submodules.y = y = LoopCounter(width=len(self.height))
        m.submodules.g = g = LoopCounter(width=len(self.groups))

        described = stream.Signature(data.StructLayout(layout)).create()
        word, step = described.payload, Signal()
        lane_before = Signal.like(self.lane)
        # Where its row and its group begin.
        row, group = Signal.like(self.addr), Signal.like(self.addr)
        next_row, next_group = Signal.like(self.addr), Signal.like(self.addr)
        m.d.comb += [
            step.eq(described.valid & described.ready),
            x.count.eq(self.width),
            y.count.eq(self.height),
            g.count.eq(self.groups),
            x.start.eq(self.start),
            y.start.eq(self.start),
            g.start.eq(self.start),
            x.step.eq(step),
            y.step.eq(step & x.last),
            g.step.eq(step & x.last & y.last),
            word.last.eq(x.last),
            word.final.eq(x.last & y.last & g.last),
            word.wait.eq(self.lanes & (word.lane == lane_before)),
            next_row.eq(row + self.row_step),
            next_group.eq(group + self.group_step),
        ]
        with m.If(self.start):
            m.d.sync += [
                described.valid.eq(1),
                word.lane.eq(0),
                word.addr.eq(self.base),
                row.eq(self.base),
                group.eq(self.base),
            ]
        with m.Elif(step):
            m.d.sync += [described.valid.eq(~word.final), lane_before.eq(word.lane)]
            with m.If(x.last):
                m.d.sync += [
                    word.lane.eq(0),
                    word.addr.eq(Mux(y.last, next_group, next_row)),
                    row.eq(Mux(y.last, next_group, next_row)),
                ]
                with m.If(y.last):
                    m.d.sync += group.eq(next_group)
            with m.Else():
                with m.If((word.lane == config.cols - 1) | ~self.lanes):
                    m.d.sync += [word.lane.eq(0), word.addr.eq(word.addr + 1)]
                with m.Else():
                    m.d.sync += word.lane.eq(word.lane + 1)
        return described
