"""Bus beats to words of ``rows`` bytes."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.isa import EngineConfig

__all__ = ["Unpack"]


class Unpack(wiring.Component):
    """Cut beats into words of ``rows`` bytes, or gather words from beats, one row after another.

    It moves a word to its output when it *takes* it; the word is *shown* for one cycle, the next
    one or, if it had to wait, the one after. Nothing downstream can refuse a word.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream.Signature(bus_width))
    raw : In(1)          every beat is one word; to change only between rows
    last : In(1)         the next word to be taken is the last of its row: what follows it in its
                         beat is dropped
    wait : In(1)         the next word to be taken must not be shown right after the one that is
                         shown now; ignored where words are wider than the bus, which keeps them
                         apart
    take : Out(1)        the next word is taken in this cycle
    show : Out(1)        a word is shown in the next cycle
    valid : Out(1)       a word is shown
    word : Out(8 * rows) the word, if valid and not ``raw``
    beat : Out(bus_width) the beat, if valid and ``raw``

    Timing
    ------
    A word is taken in the cycle in which its last beat is accepted, or right after the word before
    it in its beat was shown. One beat or word per cycle, whichever is more; dropping takes no time.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(config.bus_width))),
                "raw": In(1),
                "last": In(1),
                "wait": In(1),
                "take": Out(1),
                "show": Out(1),
                "valid": Out(1),
                "word": Out(8 * config.rows),
                "beat": Out(config.bus_width),
            }
        )

    @property
    def config(self) -> EngineConfig:
        """The engine."""
        return self._config

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        m.d.sync += self.valid.eq(self.show)
        if self._config.rows > self._config.bus_bytes:
            self._gather(m)
        else:
            self._cut(m)
        return m

    def _gather(self, m: Module) -> None:
        """Shift the beats of a word in from above."""
        beats = self._config.rows // self._config.bus_bytes
        index = Signal(range(beats))
        m.d.comb += [
            self.i.ready.eq(1),
            self.take.eq(self.i.valid & (self.raw | (index == beats - 1))),
            self.show.eq(self.take),
            self.beat.eq(self.word[-self._config.bus_width :]),
        ]
        with m.If(self.i.valid):
            m.d.sync += [
                self.word.eq(Cat(self.word, self.i.payload)[self._config.bus_width :]),
                index.eq(Mux(self.raw, 0, index + 1)),
            ]

    def _cut(self, m: Module) -> None:
        """Hold a beat and shift its words out below."""
        words = self._config.bus_bytes // self._config.rows
        hold = Signal(self._config.bus_width)
        place = Signal(words)  # one bit: which word of its beat the lowest of `hold` is
        # That word: is the last of its row or of its beat; waits to be shown in the next cycle.
        ends, held = Signal(), Signal()
        # In this cycle: a beat can be accepted; the next word of `hold` is taken. At most one.
        ready, shift = Signal(init=1), Signal()
        accept, ends_next = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(ready),
            accept.eq(self.i.valid & ready),
            self.take.eq(accept | shift),
            self.show.eq((self.take & ~(self.valid & self.wait)) | held),
            self.word.eq(hold),
            self.beat.eq(hold),
            ends_next.eq(self.last | self.raw | (shift & place[words - 2] if words > 1 else 1)),
        ]
        m.d.sync += [ready.eq(1), shift.eq(0), held.eq(0)]
        with m.If(self.take):
            m.d.sync += ends.eq(ends_next)
            with m.If(self.valid & self.wait):
                m.d.sync += [ready.eq(0), held.eq(1)]
            with m.Else():
                m.d.sync += [ready.eq(ends_next), shift.eq(~ends_next)]
        with m.Elif(held):
            m.d.sync += [ready.eq(ends), shift.eq(~ends)]
        with m.If(accept):
            m.d.sync += [hold.eq(self.i.payload), place.eq(1)]
        with m.Elif(shift):
            m.d.sync += [hold.eq(hold >> (8 * self._config.rows)), place.eq(place << 1)]
