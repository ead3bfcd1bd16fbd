"""From accesses to windows: the same ``cols`` pixels of every channel of a group."""

from math import gcd

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers import ActivationBuffer
from tilewright.hdl.taps import access_layout

__all__ = ["WindowFeeder"]


class WindowFeeder(wiring.Component):
    """Read the lanes, put their pixels in order, replace those outside the input.

    Window pixel j is input column ``x + j * stride_x``. It lies in lane ``(lane + j * stride_x)
    % cols``; when the stride and ``cols`` have a common divisor g, pixels j and ``j + cols / g``
    share a lane, and the window is assembled in g parts.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    stride_x : In(4), in_w : In(16), pad : In(8); stable while accesses are under way
    access : In(access_layout), access_valid : In(1)
    addr : Out, o_lanes : In; to the activation buffer
    window : Out(array of cols pixel words); holds between accesses

    Timing
    ------
    ``window`` shows a part ``LATENCY`` cycles after its access.
    """

    LATENCY = 2 + ActivationBuffer.LATENCY + 1

    def __init__(self, config):
        self._config = config
        lanes = data.ArrayLayout(unsigned(config.rows * 8), config.cols)
        super().__init__(
            {
                "stride_x": In(4),
                "in_w": In(16),
                "pad": In(8),
                "access": In(access_layout(config)),
                "access_valid": In(1),
                "addr": Out(data.ArrayLayout(unsigned(16), config.cols)),
                "i_lanes": In(lanes),
                "window": Out(lanes),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        cols = self._config.cols
        a = self.access

        # Where each window pixel lies. Lane and word of j * stride_x are small tables of the
        # stride: no multiplier, no division.
        base = Signal(16)
        m.d.sync += base.eq(a.group + a.row + a.word)
        lanes, words, inside, wanted = [], [], [], []
        for j in range(cols):
            table = Signal(data.StructLayout({"x": 8, "lane": 4, "word": 8, "part": 4}))
            with m.Switch(self.stride_x):
                for stride in range(16):
                    with m.Case(stride):
                        m.d.comb += [
                            table.x.eq(j * stride),
                            table.lane.eq(j * stride % cols),
                            table.word.eq(j * stride // cols),
                            table.part.eq(j // (cols // gcd(stride, cols))),
                        ]
            lane_sum, column = Signal(5), Signal(17)
            lane, word, ok, want = Signal(range(cols)), Signal(5), Signal(), Signal()
            m.d.comb += [lane_sum.eq(a.lane + table.lane), column.eq(a.x + table.x)]
            m.d.sync += [
                lane.eq(Mux(lane_sum >= cols, lane_sum - cols, lane_sum)),
                word.eq(table.word + (lane_sum >= cols)),
                # A negative column is a large unsigned one.
                ok.eq(a.row_valid & (column < self.in_w)),
                want.eq(self.access_valid & (table.part == a.part)),
            ]
            lanes.append(lane)
            words.append(word)
            inside.append(ok)
            wanted.append(want)

        # Address of each lane: the word of the pixel that wants it.
        for lane in range(cols):
            offset = Signal(5)
            for j in range(cols):
                with m.If(wanted[j] & (lanes[j] == lane)):
                    m.d.comb += offset.eq(words[j])
            m.d.sync += self.addr[lane].eq(base + offset)

        # The same decisions again when the words arrive.
        for j in range(cols):
            lane, ok, want = lanes[j], inside[j], wanted[j]
            for _ in range(1 + ActivationBuffer.LATENCY):
                later = [Signal.like(lane), Signal(), Signal()]
                m.d.sync += [d.eq(s) for d, s in zip(later, (lane, ok, want), strict=True)]
                lane, ok, want = later
            picked = Signal(self._config.rows * 8)
            with m.Switch(lane):
                for i in range(cols):
                    with m.Case(i):
                        m.d.comb += picked.eq(self.i_lanes[i])
            with m.If(want):
                m.d.sync += self.window[j].eq(
                    Mux(ok, picked, self.pad.replicate(self._config.rows))
                )
        return m
