"""Pixels that memory keeps in fewer bytes than a word has, to whole words."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.isa import EngineConfig

__all__ = ["Widen"]


class Widen(wiring.Component):
    """Give each pixel of a beat the beats of a whole word, filled up with zeros.

    Parameters
    ----------
    config : EngineConfig    with ``pixel_sizes``

    Members
    -------
    i, o : stream of beats
    pixel : In(3)     0: beats pass as they are, in the same cycle; else pixels have
                      ``2**(pixel - 1)`` bytes, one of ``pixel_sizes``; to change only between
                      blocks, a cycle before the first beat of the next one
    drop : In(1)      the pixel is the last of its row: what follows it in its beat is dropped

    Timing
    ------
    Pixels are shown from the cycle after their beat was accepted, a beat per cycle; the next beat
    is accepted with the last of them.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        beats = stream.Signature(unsigned(config.bus_width))
        super().__init__({"i": In(beats), "o": Out(beats), "pixel": In(3), "drop": In(1)})

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config = self._config
        beats = config.rows // config.bus_bytes  # of a word
        hold, full = Signal(config.bus_width), Signal()
        beat = Signal(range(max(beats, 2)))  # of the pixel at `o`
        left = Signal(range(config.bus_bytes))  # pixels after it
        lone = Signal()  # there are none
        low = Signal(config.bus_width)  # the pixel at `o`, filled up
        word_end, end, gone = Signal(), Signal(), Signal()
        shifted = Signal(config.bus_width)
        later = Signal.like(left)  # pixels after the first of a beat
        with m.Switch(self.pixel):
            for size in config.pixel_sizes:
                with m.Case(size.bit_length()):
                    m.d.comb += [
                        low.eq(hold[: 8 * size]),
                        shifted.eq(hold[8 * size :]),
                        later.eq(config.bus_bytes // size - 1),
                    ]
        narrow = Signal()
        m.d.sync += narrow.eq(self.pixel != 0)
        m.d.comb += [
            gone.eq(full & self.o.ready),
            word_end.eq(beat == beats - 1),
            end.eq(gone & word_end & (lone | self.drop)),
            self.o.valid.eq(Mux(narrow, full, self.i.valid)),
            self.o.payload.eq(Mux(narrow, Mux(beat == 0, low, 0), self.i.payload)),
            self.i.ready.eq(Mux(narrow, ~full | end, self.o.ready)),
        ]
        with m.If(self.i.valid & self.i.ready & narrow):
            m.d.sync += [hold.eq(self.i.payload), full.eq(1), beat.eq(0)]
            m.d.sync += [left.eq(later), lone.eq(later == 0)]
        with m.Elif(end):
            m.d.sync += full.eq(0)
        with m.Elif(gone):
            m.d.sync += beat.eq(Mux(word_end, 0, beat + 1))
            with m.If(word_end):
                m.d.sync += [hold.eq(shifted), left.eq(left - 1), lone.eq(left == 1)]
        return m
