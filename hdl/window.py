"""From accesses to windows: the same ``cols`` pixels of every channel of a group."""

from functools import reduce
from math import gcd
from operator import or_

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers import ActivationBuffer
from tilewright.hdl.fanout import Fanout
from tilewright.hdl.pace import access_layout
from tilewright.hdl.widths import act_addr_width, column_width

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
    stride_x : In(4), in_w : In(column_width - 1), pad : In(8); stable while accesses are under way
    access : In(access_layout), access_valid : In(1)
    addr : Out, o_lanes : In; to the activation buffer
    window : Out(array of cols pixel words); holds between accesses

    Timing
    ------
    ``window`` shows a part ``LATENCY`` cycles after its access.
    """

    LATENCY = 3 + ActivationBuffer.LATENCY + 2
    #: Channels that share the registers which pick their pixels.
    FAN_OUT = 4

    def __init__(self, config):
        self._config = config
        lanes = data.ArrayLayout(unsigned(config.rows * 8), config.cols)
        super().__init__(
            {
                "stride_x": In(4),
                "in_w": In(column_width(config) - 1),
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
        config, a = self._config, self.access
        cols = config.cols

        # Where each window pixel lies. Lane and word of j * stride_x are small tables of the
        # stride: no multiplier, no division.
        base_1 = Signal(act_addr_width(config), reset_less=True)
        base_2 = Signal.like(base_1)
        m.d.sync += [base_1.eq(a.group + a.row + a.word), base_2.eq(base_1)]
        pixels = []
        for j in range(cols):
            table = Signal(data.StructLayout({"x": 8, "lane": 4, "word": 8, "part": 4}))
            with m.Switch(self.stride_x):
                for stride in range(16):
                    with m.Case(stride):
                        m.d.sync += [
                            table.x.eq(j * stride),
                            table.lane.eq(j * stride % cols),
                            table.word.eq(j * stride // cols),
                            table.part.eq(j // (cols // gcd(stride, cols))),
                        ]
            lane_sum = Signal(5)
            pixel = Signal(
                data.StructLayout(
                    {
                        "lane": range(cols),
                        "word": 5,
                        "column": column_width(config),
                        "row_valid": 1,
                        "wanted": 1,
                    }
                ),
                reset_less=True,
                name=f"pixel_{j}",
            )
            m.d.comb += lane_sum.eq(a.lane + table.lane)
            m.d.sync += [
                pixel.lane.eq(Mux(lane_sum >= cols, lane_sum - cols, lane_sum)),
                pixel.word.eq(table.word + (lane_sum >= cols)),
                pixel.column.eq(a.x + table.x),
                pixel.row_valid.eq(a.row_valid),
                pixel.wanted.eq(self.access_valid & (table.part == a.part)),
            ]
            pixels.append(pixel)

        # Address of each lane: the word of the pixel that wants it, of which there is one at most.
        for lane in range(cols):
            offset = Signal(5, reset_less=True)
            m.d.sync += offset.eq(
                reduce(
                    or_,
                    (
                        pixel.word & (pixel.wanted & (pixel.lane == lane)).replicate(5)
                        for pixel in pixels
                    ),
                )
            )
            m.d.sync += self.addr[lane].eq(base_2 + offset)

        # The same decisions again when the words arrive, for a few channels each.
        share = min(config.rows, self.FAN_OUT)
        for j, pixel in enumerate(pixels):
            late = Signal(
                data.StructLayout({"lane": range(cols), "inside": 1, "wanted": 1}), reset_less=True
            )
            m.d.sync += [
                late.lane.eq(pixel.lane),
                # A negative column is a large unsigned one.
                late.inside.eq(pixel.row_valid & (pixel.column < self.in_w)),
                late.wanted.eq(pixel.wanted),
            ]
            for _ in range(ActivationBuffer.LATENCY):
                later = Signal.like(late, reset_less=True)
                m.d.sync += later.eq(late)
                late = later
            m.submodules[f"late_{j}"] = copies = Fanout(
                width=len(late.as_value()), copies=config.rows // share, dsp=config.dsp
            )
            m.d.comb += copies.i.eq(late)
            for k in range(config.rows // share):
                part = slice(8 * share * k, 8 * share * (k + 1))
                copy = data.View(late.shape(), copies.o[k])
                picked = Signal(8 * share, reset_less=True)
                inside, wanted = Signal(reset_less=True), Signal(reset_less=True)
                with m.Switch(copy.lane):
                    for i in range(cols):
                        with m.Case(i):
                            m.d.sync += picked.eq(self.i_lanes[i][part])
                m.d.sync += [inside.eq(copy.inside), wanted.eq(copy.wanted)]
                window = Signal(8 * share, reset_less=True)
                m.d.comb += self.window[j][part].eq(window)
                with m.If(wanted):
                    m.d.sync += window.eq(Mux(inside, picked, self.pad.replicate(share)))
        return m
