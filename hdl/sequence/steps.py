"""One weight word per cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.sequence.pace import burst_layout
from tilewright.isa.widths import weight_addr_width

__all__ = ["StepSequencer"]


class StepSequencer(wiring.Component):
    """Turn bursts into weight addresses and the array's step control.

    The words of a kernel group follow one another in the ring; each pass begins again after the
    group's parameters.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    weight_base : In(weight_addr_width); sampled with the first burst of a command
    i : In(burst_layout), i_valid : In(1); bursts are at least ``count`` cycles apart
    split : In(1), with ``split_columns``; a step has two words
    addr : Out(weight_addr_width); of the first of them
    step : Out(1); a weight word is read for the array
    product : Out(1), with ``step``; the weights are pixels, and no word is read
    low : Out(1), with ``step``, in engines with ``wide_maps``; the weights are for low bytes
    parameter : Out(1); a parameter word is read
    first, last : Out(1); first and last step of a pass
    first_of_kg, last_of_command : Out(1); the pass is that
    overrun : Out(1); a burst comes before the one before is over, which is lost

    Timing
    ------
    The first step of a burst follows ``i_valid`` by one cycle.
    """

    LATENCY = 1

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "weight_base": In(weight_addr_width(self._config)),
                "i": In(burst_layout(config)),
                "i_valid": In(1),
                **({"split": In(1)} if self._config.split_columns else {}),
                "addr": Out(weight_addr_width(self._config)),
                "step": Out(1),
                **({"product": Out(1)} if self._config.multiplies_maps else {}),
                **({"low": Out(1)} if self._config.wide_maps else {}),
                "parameter": Out(1),
                "first": Out(1),
                "last": Out(1),
                "first_of_kg": Out(1),
                "last_of_command": Out(1),
                "overrun": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        burst = Signal(burst_layout(self._config))
        left = Signal.like(burst.count)
        pass_base = Signal.like(self.addr)
        following, begin = Signal.like(self.addr), Signal.like(self.addr)
        behind = self.addr + 1
        if self._config.split_columns:
            behind += self.split & ~burst.parameters
        m.d.comb += [following.eq(behind), begin.eq(following)]
        with m.If(self.i.parameters):
            with m.If(self.i.first_of_command):
                m.d.comb += begin.eq(self.weight_base)
        with m.Elif(self.i.first & ~self.i.first_of_kg):
            m.d.comb += begin.eq(pass_base)

        with m.If(self.i_valid):
            m.d.sync += [
                burst.eq(self.i),
                self.addr.eq(begin),
                left.eq(self.i.count - 1),
                self.step.eq(~self.i.parameters),
                self.parameter.eq(self.i.parameters),
                self.first.eq(self.i.first & ~self.i.parameters),
                self.last.eq(self.i.last & ~self.i.parameters & (self.i.count == 1)),
            ]
            with m.If(self.i.first & self.i.first_of_kg & ~self.i.parameters):
                m.d.sync += pass_base.eq(following)
        with m.Else():
            m.d.sync += [self.first.eq(0), self.last.eq(0)]
            with m.If(left != 0):
                stays = burst.product if self._config.multiplies_maps else 0
                m.d.sync += [
                    self.addr.eq(Mux(stays, self.addr, following)),
                    left.eq(left - 1),
                    self.last.eq(burst.last & ~burst.parameters & (left == 1)),
                ]
            with m.Else():
                m.d.sync += [self.step.eq(0), self.parameter.eq(0)]
        m.d.comb += [
            self.first_of_kg.eq(burst.first_of_kg),
            self.last_of_command.eq(burst.last_of_command),
            self.overrun.eq(self.i_valid & (left != 0)),
        ]
        if self._config.multiplies_maps:
            m.d.comb += self.product.eq(burst.product)
        if self._config.wide_maps:
            m.d.comb += self.low.eq(burst.low)
        return m
