"""Pixel words of the output buffer to bus beats."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.words import WordBuffer
from tilewright.hdl.bus.writer import BeatLayout
from tilewright.hdl.lib.loops import LoopCounter
from tilewright.isa import EngineConfig
from tilewright.isa.widths import out_addr_width, store_count_width

__all__ = ["Pack"]


class Pack(wiring.Component):
    """Read pixel words one after another and cut or gather them into the beats of rows.

    It does not know where a block ends: it goes on with another run of rows, as far as its
    buffer reaches, until it is started again. Without ``config.pipelined``, no words are read
    ahead: the buffer's own output register holds the next one.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    start : In(1)             drop everything and begin at ``base``; ``height`` (rows in a run) and
                              ``width`` (words in a row), each at least 1, must stay until the next
                              start
    base : In(out_addr_width), height, width : In(store_count_width)
    out_addr : Out(out_addr_width)   address of a word
    out_enable : Out(1)       read it; else the buffer must keep the word before
    out_data : In(8 * rows)   the word, ``out_latency(config)`` cycles later
    o : Out(stream.Signature(BeatLayout))   the last beat of a row is filled up with zeros

    Timing
    ------
    Started in cycle t, the first beat is valid at ``t + first(config) + n``, where n is the number
    of words in it (1 if a word is a beat or more). One beat or one word per cycle, whichever is
    more.
    """

    @classmethod
    def out_latency(cls, config: EngineConfig) -> int:
        """Return the cycles from an address to its word."""
        return WordBuffer.latency(config.pipelined)

    @classmethod
    def first(cls, config: EngineConfig) -> int:
        """Return the cycles from a start to a word that can be taken."""
        if config.pipelined:
            return cls.out_latency(config) + 2
        return cls.out_latency(config) + (config.rows != config.bus_bytes)

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "base": In(out_addr_width(config)),
                "height": In(store_count_width(config)),
                "width": In(store_count_width(config)),
                "out_addr": Out(out_addr_width(config)),
                "out_enable": Out(1),
                "out_data": In(8 * config.rows),
                "o": Out(stream.Signature(BeatLayout(config))),
            }
        )

    @property
    def config(self) -> EngineConfig:
        """The engine."""
        return self._config

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        take = Signal()
        layout = data.StructLayout({"word": 8 * self._config.rows, "last": 1, "last_row": 1})
        item, ready = Signal(layout), Signal()
        m.submodules.x = x = LoopCounter(width=len(self.width))
        m.submodules.y = y = LoopCounter(width=len(self.height))
        arrives = Signal()  # the next word
        m.d.comb += [
            x.count.eq(self.width),
            y.count.eq(self.height),
            x.start.eq(self.start),
            y.start.eq(self.start),
            x.step.eq(arrives),
            y.step.eq(arrives & x.last),
        ]
        read = self._read_ahead if self._config.pipelined else self._read
        read(m, Cat(x.last, y.last), arrives, item, ready, take)
        if self._config.rows >= self._config.bus_bytes:
            self._cut(m, item.word, ready, take, item.last & item.last_row)
        else:
            self._gather(m, item.word, ready, take, item.last, item.last_row)
        return m

    def _read(
        self, m: Module, ends: Value, arrives: Signal, item: data.View, ready: Signal, take: Signal
    ) -> None:
        """Show the word that was read last until it is taken; then read the next one."""
        m.d.comb += [
            arrives.eq(take),
            item.word.eq(self.out_data),
            Cat(item.last, item.last_row).eq(ends),
            self.out_enable.eq(~ready | take),
        ]
        with m.If(self.start):
            m.d.sync += [self.out_addr.eq(self.base), ready.eq(0)]
        with m.Elif(self.out_enable):
            m.d.sync += [self.out_addr.eq(self.out_addr + 1), ready.eq(1)]

    def _read_ahead(
        self, m: Module, ends: Value, arrives: Signal, item: data.View, ready: Signal, take: Signal
    ) -> None:
        """Read ahead into a small FIFO and show its next word.

        ``out_latency + 2`` words keep up one word per cycle.
        """
        latency = self.out_latency(self._config)
        depth = 1 << (latency + 1).bit_length()
        m.submodules.fifo = fifo = Memory(shape=item.shape(), depth=depth, init=[])
        write, read = fifo.write_port(), fifo.read_port(domain="comb")
        spoken_for = Signal(range(depth + 1))  # words in the FIFO or on their way
        level, some = Signal(range(depth + 1)), Signal()
        flight = Signal(latency)
        issue = Signal()
        m.d.comb += [
            self.out_enable.eq(1),
            issue.eq(spoken_for != depth),
            write.en.eq(flight[-1]),
            arrives.eq(write.en),
            write.data.word.eq(self.out_data),
            Cat(write.data.last, write.data.last_row).eq(ends),
            item.eq(read.data),
            ready.eq(some),
        ]
        m.d.sync += [
            flight.eq(Cat(issue, flight)),
            self.out_addr.eq(self.out_addr + issue),
            spoken_for.eq(spoken_for + issue - take),
            level.eq(level + write.en - take),
            some.eq(write.en | Mux(take, level > 1, level != 0)),
            write.addr.eq(write.addr + write.en),
            read.addr.eq(read.addr + take),
        ]
        with m.If(self.start):
            m.d.sync += [
                flight.eq(0),
                self.out_addr.eq(self.base),
                spoken_for.eq(0),
                level.eq(0),
                some.eq(0),
                write.addr.eq(0),
                read.addr.eq(0),
            ]

    def _cut(self, m: Module, word: Value, ready: Value, take: Signal, end: Value) -> None:
        """Hold a word and shift its beats out below."""
        beats = self._config.rows // self._config.bus_bytes
        if beats == 1 and not self._config.pipelined:
            m.d.comb += [
                take.eq(ready & self.o.ready),
                self.o.valid.eq(ready),
                self.o.payload.data.eq(word),
                self.o.payload.last.eq(end),
            ]
            return
        hold = Signal(8 * self._config.rows)
        full, last = Signal(), Signal()
        place = Signal(beats)  # one bit: which beat of the word is at `o`
        m.d.comb += [
            take.eq(ready & (~full | (self.o.ready & place[-1]))),
            self.o.valid.eq(full),
            self.o.payload.data.eq(hold),
            self.o.payload.last.eq(last & place[-1]),
        ]
        # Whether there is a word decides about `full` only: it is late.
        with m.If(~full | self.o.ready):
            with m.If(~full | place[-1]):
                m.d.sync += [hold.eq(word), place.eq(1), last.eq(end), full.eq(ready)]
            with m.Else():
                m.d.sync += [hold.eq(hold >> self._config.bus_width), place.eq(place << 1)]
        with m.If(self.start):
            m.d.sync += full.eq(0)

    def _gather(
        self, m: Module, word: Value, ready: Value, take: Signal, last: Value, last_row: Value
    ) -> None:
        """Fill a beat from below; its first word clears the others."""
        words = self._config.bus_bytes // self._config.rows
        hold = Signal(data.ArrayLayout(8 * self._config.rows, words))
        full, end = Signal(), Signal()
        place = Signal(range(words))
        gone = Signal()
        m.d.comb += [
            gone.eq(full & self.o.ready),
            take.eq(ready & (~full | gone)),
            self.o.valid.eq(full),
            self.o.payload.data.eq(hold.as_value()),
            self.o.payload.last.eq(end),
        ]
        with m.If(take):
            for k in range(words):
                with m.If(place == k):
                    m.d.sync += hold[k].eq(word)
                with m.Elif(place == 0):
                    m.d.sync += hold[k].eq(0)
            m.d.sync += [
                place.eq(Mux(last, 0, place + 1)),
                full.eq(last | (place == words - 1)),
                end.eq(last & last_row),
            ]
        with m.Elif(gone):
            m.d.sync += full.eq(0)
        with m.If(self.start):
            m.d.sync += [full.eq(0), place.eq(0)]
