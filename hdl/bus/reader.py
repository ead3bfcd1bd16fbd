"""Reading blocks of memory."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.bus.axi import AXI4Read
from tilewright.hdl.bus.bursts import BlockLayout, Bursts
from tilewright.isa import EngineConfig
from tilewright.isa.widths import load_count_width

__all__ = ["Reader"]


class Reader(wiring.Component):
    """Read blocks of memory and deliver their beats in order.

    Parameters
    ----------
    config : EngineConfig    ``outstanding`` bursts at most are in flight

    Members
    -------
    i : In(stream.Signature(BlockLayout))   see :class:`Bursts`
    o : Out(stream.Signature(bus_width))    combinational from the R channel
    axi : Out(AXI4Read)
    halt : In(1)              start no burst; from the next cycle on, accept what is in flight even
                              if ``o`` is not ready for it: what ``o`` shows then means nothing
    quiet : Out(1)            no burst is in flight or about to be: with ``halt``, it stays so
    beat : Out(1)             pulse: a beat was accepted in the previous cycle
    error : Out(1)            pulse: a beat that was no OKAY was accepted in the previous cycle

    Timing
    ------
    Block taken in cycle t: first address valid at ``t + Bursts.FIRST``. A place in flight that the
    last beat of a burst frees in cycle t is used by an address valid at ``t + REUSE`` or later.
    """

    REUSE = 2

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(
                    stream.Signature(BlockLayout(config, count_width=load_count_width(config)))
                ),
                "o": Out(stream.Signature(unsigned(config.bus_width))),
                "axi": Out(AXI4Read(data_width=config.bus_width)),
                "halt": In(1),
                "quiet": Out(1),
                "beat": Out(1),
                "error": Out(1),
            }
        )

    @property
    def config(self) -> EngineConfig:
        """The engine."""
        return self._config

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        axi, limit = self.axi, self._config.outstanding
        m.submodules.bursts = bursts = Bursts(
            self._config, count_width=load_count_width(self._config)
        )
        wiring.connect(m, wiring.flipped(self.i), bursts.i)

        flying = Signal(range(limit + 1))
        issued, beat, drop = Signal(), Signal(), Signal()
        m.d.comb += [
            axi.arvalid.eq(bursts.o.valid),
            axi.araddr.eq(bursts.o.payload.address),
            axi.arlen.eq(bursts.o.payload.len),
            bursts.o.ready.eq(axi.arready),
            bursts.enable.eq((flying != limit) & ~self.halt),
            issued.eq(axi.arvalid & axi.arready),
            self.o.valid.eq(axi.rvalid),
            self.o.payload.eq(axi.rdata),
            axi.rready.eq(self.o.ready | drop),
            beat.eq(axi.rvalid & axi.rready),
            self.quiet.eq(~axi.arvalid & (flying == 0)),
        ]
        m.d.sync += [
            drop.eq(self.halt),
            flying.eq(flying + issued - (beat & axi.rlast)),
            self.beat.eq(beat),
            self.error.eq(beat & (axi.rresp != 0)),
        ]
        return m
