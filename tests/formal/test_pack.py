"""The store unit's beats hold every word of a block in its place, and nothing else."""

import pytest
from amaranth.hdl import Assert, Assume, Cat, Const, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import wiring

from tests.formal.conftest import Prove
from tests.formal.faults import Fault
from tests.formal.narrow import NarrowConfig
from tests.formal.proofs import free, some
from tilewright.hdl.store.pack import Pack


def engine(rows: int, *, pipelined: bool = True) -> NarrowConfig:
    """Return an engine whose output buffer has four words."""
    return NarrowConfig(rows=rows, out_depth=4, bus_width=32, pipelined=pipelined)


CONFIGS = {
    "a word a beat": engine(4),
    "a word a beat, not pipelined": engine(4, pipelined=False),
    "a word two beats": engine(8),
    "a word two beats, not pipelined": engine(8, pipelined=False),
    "two words a beat": engine(2),
    "two words a beat, not pipelined": engine(2, pipelined=False),
}


class PackProperties(wiring.Component):
    """Any start, any block of rows of up to 3 words in runs of up to 3 rows, any ready.

    Each byte of a word of the output buffer says which word and which byte it is, so that a beat
    shows where it comes from. One start is enough to be at a block's first word in any state.
    """

    def __init__(self, config: NarrowConfig) -> None:
        self._config = config
        self._pack = Pack(config)
        members = self._pack.signature.members
        super().__init__({name: members[name] for name in ("start", "base", "o")})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, rows, size = self._config, self._config.rows, self._config.bus_bytes
        m.submodules.pack = pack = self._pack
        self._chosen_word, self._chosen_byte = some(m, 2, "word"), some(m, 3, "byte")
        wiring.connect(m, pack.o, wiring.flipped(self.o))
        height, width = Signal(2), Signal(2)  # kept until the next start
        started, beat = Signal(), Signal()
        m.submodules.block = block = _Kept(2)
        m.d.comb += [
            Assume(~ResetSignal()),
            block.start.eq(self.start),
            height.eq(block.height),
            width.eq(block.width),
            pack.start.eq(self.start),
            pack.base.eq(self.base),
            pack.height.eq(height),
            pack.width.eq(width),
            beat.eq(self.o.valid & self.o.ready & started & ~self.start),
        ]
        m.d.sync += started.eq(started | self.start)

        # The output buffer.
        address = pack.out_addr
        for k in range(Pack.out_latency(config)):
            read = Signal.like(pack.out_addr, name=f"read_{k}")
            with m.If(pack.out_enable):
                m.d.sync += read.eq(address)
            address = read
        m.d.comb += pack.out_data.eq(self._word(address))

        # The next beat: word `x` of row `y`, word `index` in the buffer.
        x, y, part = Signal(2), Signal(2), Signal(range(max(2, rows // size)))
        index, step = Signal.like(pack.out_addr), Signal(2)
        row_ends, word_ends = Signal(), Signal()
        if rows >= size:
            expected = self._word(index).word_select(part, 8 * size)
            m.d.comb += [word_ends.eq(part == rows // size - 1), step.eq(1)]
        else:
            second = x + 1 < width
            expected = Cat(self._word(index), Mux(second, self._word((index + 1)[:2]), 0))
            m.d.comb += [word_ends.eq(1), step.eq(1 + second)]
        m.d.comb += row_ends.eq(word_ends & (x + step == width))
        with m.If(self.start):
            m.d.sync += [x.eq(0), y.eq(0), part.eq(0), index.eq(self.base)]
        with m.Elif(beat):
            m.d.sync += part.eq(Mux(word_ends, 0, part + 1))
            with m.If(word_ends):
                m.d.sync += [index.eq(index + step), x.eq(Mux(row_ends, 0, x + step))]
            with m.If(row_ends):
                m.d.sync += y.eq(Mux(y + 1 == height, 0, y + 1))
        offered = self.o.valid & started & ~self.start
        waiting, soon = Signal(), Signal(range(17))
        m.d.sync += waiting.eq(offered & ~self.o.ready)
        with m.If(self.start | self.o.valid):
            m.d.sync += soon.eq(0)
        with m.Elif(started & (soon != 16)):
            m.d.sync += soon.eq(soon + 1)
        # After a start: the first word, and the others of its beat.
        longest = Pack.first(config) + max(1, size // rows) - 1
        m.d.comb += [
            Assert(~offered | (self.o.payload.data == expected), "every word in its place"),
            Assert(
                ~offered | (self.o.payload.last == (row_ends & (y + 1 == height))),
                "last with the last beat of a run",
            ),
            Assert(~waiting | self.start | self.o.valid, "a beat waits until it is taken"),
            Assert(soon <= longest, "the next beat comes in time"),
        ]
        return m

    def _word(self, index: Value) -> Value:
        """Return a word of the output buffer: zeros, but for one bit of one word, any of them."""
        rows = self._config.rows
        return Cat(
            Cat((index == self._chosen_word) & (self._chosen_byte == byte), Const(0, 7))
            for byte in range(rows)
        )


class _Kept(wiring.Component):
    """A block's size, any, that stays until the next start."""

    def __init__(self, width: int) -> None:
        super().__init__(
            {
                "start": wiring.In(1),
                "height": wiring.Out(width),
                "width": wiring.Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name in ("height", "width"):
            value, kept = free(m, 2, name), Signal(2, init=1, name=f"kept_{name}")
            m.d.comb += [Assume(value != 0), getattr(self, name).eq(Mux(self.start, value, kept))]
            with m.If(self.start):
                m.d.sync += kept.eq(value)
        return m


FAULTS = [
    Fault(Pack, "last | (place == words - 1)", "place == words - 1", "the next beat comes in time",
          "_gather"),
    Fault(Pack, "hold[k].eq(0)", "hold[k].eq(hold[k])", "every word in its place", "_gather"),
    Fault(Pack, "end.eq(last & last_row)", "end.eq(last)", "last with the last beat of a run",
          "_gather"),
    Fault(Pack, "issue.eq(spoken_for != depth)", "issue.eq(1)",
          "last with the last beat of a run", "_read_ahead"),
    Fault(Pack, "some.eq(write.en | ", "some.eq(", "the next beat comes in time", "_read_ahead"),
    Fault(Pack, "flight.eq(0)", "flight.eq(flight)", "every word in its place", "_read_ahead"),
    Fault(Pack, "full.eq(0), place.eq(0)", "place.eq(0)", "every word in its place", "_gather"),
    Fault(Pack, "y.step.eq(arrives & x.last)", "y.step.eq(arrives)",
          "last with the last beat of a run"),
]  # fmt: skip

#: Cycles of a bounded proof: each takes about as long as all before it.
CYCLES = [14, pytest.param(17, marks=pytest.mark.exhaustive)]


@pytest.mark.parametrize("cycles", CYCLES)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_proof(holds: Prove, config: NarrowConfig, cycles: int) -> None:
    holds(PackProperties(config), depth=cycles)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_faults_are_found(finds: Prove, fault: Fault) -> None:
    finds(fault, PackProperties(CONFIGS["two words a beat"]))
