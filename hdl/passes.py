"""The outer loops of a compute command: kernel group, output row, output word."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.compiler.isa import Compute
from tilewright.hdl.loops import LoopCounter
from tilewright.hdl.records import command_layout

__all__ = ["PassSequencer", "pass_layout"]


def pass_layout(config):
    """Return the description of one pass: ``rows`` channels of one word of output pixels."""
    return data.StructLayout(
        {
            "addr": 16,  # lane word of kernel row 0, input column 0
            "y": signed(17),  # input row of kernel row 0
            "x": signed(17),  # input column of output pixel 0, kernel column 0
            "word": signed(13),  # floor(x / cols)
            "dst": 16,  # lane word of the results, where they go to the activation buffer
            "pixels": range(config.cols + 1),  # valid output pixels
            "first_of_command": 1,
            "first_of_kg": 1,
            "last_of_command": 1,
        }
    )


class PassSequencer(wiring.Component):
    """Describe the passes of a command, one after another.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    command : In(Compute layout); stable from ``start`` until its last pass has left the array
    start : In(1)
    o : Out(stream of pass_layout)

    Timing
    ------
    ``o`` is valid in the cycle after ``start``, and again in the cycle after each transfer until
    the last pass is gone.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "command": In(command_layout(Compute)),
                "start": In(1),
                "o": Out(stream.Signature(pass_layout(config))),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config, c, o = self._config, self.command, self.o.payload
        step = Signal()
        m.d.comb += step.eq(self.o.valid & self.o.ready)

        m.submodules.ox = ox = LoopCounter(width=16)
        m.submodules.oy = oy = LoopCounter(width=16)
        m.submodules.kg = kg = LoopCounter(width=16)
        m.d.comb += [
            ox.count.eq(c.n_ox),
            oy.count.eq(c.n_oy),
            kg.count.eq(c.n_kg),
            ox.start.eq(self.start),
            oy.start.eq(self.start),
            kg.start.eq(self.start),
            ox.step.eq(step),
            oy.step.eq(step & ox.last),
            kg.step.eq(step & ox.last & oy.last),
            o.last_of_command.eq(ox.last & oy.last & kg.last),
        ]

        # stride_x is four bits: the product is a small table, not a multiplier.
        pixels_per_word = Signal(8)
        with m.Switch(c.stride_x):
            for stride in range(16):
                with m.Case(stride):
                    m.d.comb += pixels_per_word.eq(stride * config.cols)

        kg_addr, kg_dst, row_dst = Signal(16), Signal(16), Signal(16)
        left = Signal(16)  # output pixels in this row from this pass on
        m.d.comb += o.pixels.eq(Mux(left >= config.cols, config.cols, left[:5]))

        with m.If(self.start):
            m.d.sync += [
                self.o.valid.eq(1),
                o.addr.eq(c.act_base),
                o.y.eq(c.y0),
                o.dst.eq(c.dst_base),
                kg_addr.eq(c.act_base),
                kg_dst.eq(c.dst_base),
                row_dst.eq(c.dst_base),
                o.first_of_command.eq(1),
                o.first_of_kg.eq(1),
            ]
        with m.Elif(step):
            m.d.sync += [o.first_of_command.eq(0), o.first_of_kg.eq(0)]
            with m.If(~ox.last):
                m.d.sync += o.dst.eq(o.dst + 1)
            with m.Elif(~oy.last):
                m.d.sync += [
                    o.addr.eq(o.addr + c.oy_step),
                    o.y.eq(o.y + c.oy_dy),
                    o.dst.eq(row_dst + c.dst_row_step),
                    row_dst.eq(row_dst + c.dst_row_step),
                ]
            with m.Else():
                m.d.sync += [
                    o.addr.eq(kg_addr + c.kg_step),
                    kg_addr.eq(kg_addr + c.kg_step),
                    o.y.eq(c.y0),
                    o.dst.eq(kg_dst + c.dst_kg_step),
                    kg_dst.eq(kg_dst + c.dst_kg_step),
                    row_dst.eq(kg_dst + c.dst_kg_step),
                    o.first_of_kg.eq(1),
                ]
            with m.If(o.last_of_command):
                m.d.sync += self.o.valid.eq(0)

        with m.If(self.start | (step & ox.last)):
            m.d.sync += [o.x.eq(c.x0), o.word.eq(c.x0_word), left.eq(c.out_w)]
        with m.Elif(step):
            m.d.sync += [
                o.x.eq(o.x + pixels_per_word),
                o.word.eq(o.word + c.stride_x),
                left.eq(left - config.cols),
            ]
        return m
