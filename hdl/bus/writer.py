"""Writing blocks of memory."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.bus.axi import AXI4Write
from tilewright.hdl.bus.bursts import BlockLayout, Bursts
from tilewright.isa import EngineConfig
from tilewright.isa.widths import store_count_width

__all__ = ["BeatLayout", "Writer"]


class BeatLayout(data.StructLayout):
    """A beat to be written; ``last`` of its run of contiguous beats."""

    def __init__(self, config: EngineConfig) -> None:
        super().__init__({"data": config.bus_width, "last": 1})


class Writer(wiring.Component):
    """Write beats to blocks of memory; every byte of every beat.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream.Signature(BlockLayout))   see :class:`Bursts`, but ``stride`` must stay until
                              ``complete``; the last block must be complete
    i_beats : In(stream.Signature(BeatLayout))   combinational to the W channel; taken only when
                              the address of their burst has been
    axi : Out(AXI4Write)
    halt : In(1)              start no burst; those that have begun still need their beats
    quiet : Out(1)            no burst has begun that memory has not confirmed, or is about to: with
                              ``halt``, it stays so
    complete : Out(1)         the whole block has been written and confirmed
    beat : Out(1)             pulse: a beat was taken in the previous cycle
    error : Out(1)            pulse: a response that was no OKAY came in the previous cycle

    Timing
    ------
    Block taken in cycle t: first address valid at ``t + Bursts.FIRST``. At most ``PENDING`` bursts
    are unconfirmed; a response in cycle t makes place for an address valid at ``t + REUSE`` or
    later. The first beat of a burst is valid at the cycle after its address was taken, or later.
    """

    PENDING = 16
    REUSE = 2

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(
                    stream.Signature(BlockLayout(config, count_width=store_count_width(config)))
                ),
                "i_beats": In(stream.Signature(BeatLayout(config))),
                "axi": Out(AXI4Write(data_width=config.bus_width)),
                "halt": In(1),
                "quiet": Out(1),
                "complete": Out(1),
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
        axi, block = self.axi, self.i.payload
        m.submodules.bursts = bursts = Bursts(
            self._config, count_width=store_count_width(self._config)
        )
        wiring.connect(m, wiring.flipped(self.i), bursts.i)

        pending = Signal(range(self.PENDING + 1))  # bursts whose address was taken, unconfirmed
        credit = Signal(range(self.PENDING + 1))  # of these, those whose beats are to come
        following, may_write = Signal.like(credit), Signal()
        issued, beat, confirmed = Signal(), Signal(), Signal()

        # Place in its burst of the next beat, and of the first beat of the run.
        low = self._config.bus_bytes.bit_length() - 1
        high = low + self._config.burst_beats.bit_length() - 1
        index, run = Signal(high - low), Signal(high - low)
        next_run = Signal.like(run)

        m.d.comb += [
            axi.awvalid.eq(bursts.o.valid),
            axi.awaddr.eq(bursts.o.payload.address),
            axi.awlen.eq(bursts.o.payload.len),
            bursts.o.ready.eq(axi.awready),
            bursts.enable.eq((pending != self.PENDING) & ~self.halt),
            issued.eq(axi.awvalid & axi.awready),
            axi.wvalid.eq(self.i_beats.valid & may_write),
            axi.wdata.eq(self.i_beats.payload.data),
            axi.wstrb.eq(~0),
            axi.wlast.eq(self.i_beats.payload.last | (index + 1)[high - low]),
            self.i_beats.ready.eq(axi.wready & may_write),
            following.eq(credit + issued - (beat & axi.wlast)),
            beat.eq(axi.wvalid & axi.wready),
            axi.bready.eq(1),
            confirmed.eq(axi.bvalid & axi.bready),
            next_run.eq(run + block.stride[low:high]),
            self.quiet.eq(~axi.awvalid & (pending == 0)),
            self.complete.eq(bursts.idle & (pending == 0)),
        ]
        m.d.sync += [
            pending.eq(pending + issued - confirmed),
            credit.eq(following),
            may_write.eq(following != 0),
            self.beat.eq(beat),
            self.error.eq(confirmed & (axi.bresp != 0)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [index.eq(block.address[low:high]), run.eq(block.address[low:high])]
        with m.Elif(beat):
            m.d.sync += index.eq(Mux(self.i_beats.payload.last, next_run, index + 1))
            with m.If(self.i_beats.payload.last):
                m.d.sync += run.eq(next_run)
        return m
