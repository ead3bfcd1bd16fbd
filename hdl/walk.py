"""Where the words of a load go."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.compiler.isa import EngineConfig
from tilewright.hdl.loops import LoopCounter

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
    groups, height, width : In(16)   words to come, each at least 1
    base, row_step, group_step : In(16)   as in LoadActivations
    take : In(1)              on to the next word
    last : Out(1)             the next word is the last of its row
    wait : Out(1)             the next word goes to the lane of the word before
    lane : Out(range(cols))   of the word taken last
    addr : Out(16)
    final : Out(1)            it is the last word of all

    Timing
    ------
    ``last`` and ``wait`` are combinational from registers; one word per cycle.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "lanes": In(1),
                "groups": In(16),
                "height": In(16),
                "width": In(16),
                "base": In(16),
                "row_step": In(16),
                "group_step": In(16),
                "take": In(1),
                "last": Out(1),
                "wait": Out(1),
                "lane": Out(range(config.cols)),
                "addr": Out(16),
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
        m.submodules.x = x = LoopCounter(width=16)
        m.submodules.y = y = LoopCounter(width=16)
        m.submodules.g = g = LoopCounter(width=16)
        lane, addr = Signal.like(self.lane), Signal(16)  # of the next word
        row, group = Signal(16), Signal(16)  # where its row and its group begin
        next_row, next_group = Signal(16), Signal(16)
        m.d.comb += [
            x.count.eq(self.width),
            y.count.eq(self.height),
            g.count.eq(self.groups),
            x.start.eq(self.start),
            y.start.eq(self.start),
            g.start.eq(self.start),
            x.step.eq(self.take),
            y.step.eq(self.take & x.last),
            g.step.eq(self.take & x.last & y.last),
            self.last.eq(x.last),
            self.wait.eq(self.lanes & (lane == self.lane)),
            next_row.eq(row + self.row_step),
            next_group.eq(group + self.group_step),
        ]
        with m.If(self.start):
            m.d.sync += [
                lane.eq(0),
                addr.eq(self.base),
                row.eq(self.base),
                group.eq(self.base),
                self.final.eq(0),
            ]
        with m.If(self.take):
            m.d.sync += [
                self.lane.eq(lane),
                self.addr.eq(addr),
                self.final.eq(x.last & y.last & g.last),
            ]
            with m.If(x.last):
                m.d.sync += [
                    lane.eq(0),
                    addr.eq(Mux(y.last, next_group, next_row)),
                    row.eq(Mux(y.last, next_group, next_row)),
                ]
                with m.If(y.last):
                    m.d.sync += group.eq(next_group)
            with m.Else():
                with m.If((lane == self._config.cols - 1) | ~self.lanes):
                    m.d.sync += [lane.eq(0), addr.eq(addr + 1)]
                with m.Else():
                    m.d.sync += lane.eq(lane + 1)
        return m
