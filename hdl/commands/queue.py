"""Command queues: fetched commands wait here for their unit."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.hdl.lib.fanout import Fanout
from tilewright.isa import EngineConfig, Unit

__all__ = ["CommandQueue", "QueueWrite"]


class QueueWrite(wiring.Signature):
    """Commands on their way into a queue, from the fetcher's view.

    Members
    -------
    valid : Out(1)        ``data`` is the next beat; never refused
    data : Out(bus_width)
    commit : Out(1)       ``count`` more commands are complete; may accompany their last beat
    count : Out(16)
    """

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "data": Out(config.bus_width),
                "commit": Out(1),
                "count": Out(16),
            }
        )


class CommandQueue(wiring.Component):
    """Hold fetched commands of one unit in block RAM and present the next one whole.

    The next command moves word by word into a register when the unit has taken the one before.

    Parameters
    ----------
    config : EngineConfig
    unit : Unit

    Members
    -------
    i : In(QueueWrite)        beats of commands; they become visible when committed
    o : Out(stream)           raw bits of a command, ``8 * config.command_bytes(unit)``
    overflow : Out(1)         pulse: a beat came while ``queue_depth`` commands were in memory, and
                              destroyed one; the program must not go on

    Timing
    ------
    ``words`` is the number of beats per command. After a command leaves in cycle t, the next one is
    valid in cycle ``max(t, commit) + words + refill(config)``. A command occupies memory until its
    last word has moved to the register. Reset empties the queue.

    Raises
    ------
    ValueError  If ``unit`` is not a unit.
    """

    @classmethod
    def refill(cls, config: EngineConfig) -> int:
        """Return the cycles from a word's read to its place."""
        return 3 if config.pipelined else 2

    def __init__(self, config: EngineConfig, unit: Unit) -> None:
        self._config = config
        self._unit = Unit(unit)
        super().__init__(
            {
                "i": In(QueueWrite(config)),
                "o": Out(stream.Signature(unsigned(8 * config.command_bytes(self._unit)))),
                "overflow": Out(1),
            }
        )

    @property
    def config(self) -> EngineConfig:
        """The engine."""
        return self._config

    @property
    def unit(self) -> Unit:
        """Whose commands these are."""
        return self._unit

    @property
    def words(self) -> int:
        """Beats per command."""
        return self._config.command_bytes(self._unit) // self._config.bus_bytes

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        words, depth = self.words, self._config.queue_depth * self.words
        m.submodules.memory = memory = Memory(shape=self._config.bus_width, depth=depth, init=[])
        write, read = memory.write_port(), memory.read_port()

        used = Signal(range(depth + 1))  # words in memory
        level = Signal(range(self._config.queue_depth + 1))  # commands not yet moving
        index = Signal(range(words))  # of the word to be read
        reading, valid = Signal(), Signal()
        # Words on their way: `last` with a command's last.
        flight = [(reading, index)]
        for k in range(self.refill(self._config) - 1):
            arriving = Signal(name=f"arriving_{k}")
            place = Signal.like(index, name=f"place_{k}", reset_less=True)
            m.d.sync += [arriving.eq(flight[-1][0]), place.eq(flight[-1][1])]
            flight.append((arriving, place))
        # Of the command under way, all words have been asked for.
        asked = Cat(arriving & (place == words - 1) for arriving, place in flight[1:]).any()

        def advance(pointer):
            m.d.sync += pointer.eq(Mux(pointer == depth - 1, 0, pointer + 1))

        m.d.comb += [
            write.en.eq(self.i.valid),
            write.data.eq(self.i.data),
            read.en.eq(1),  # what was not asked for is not looked at
            self.o.valid.eq(valid),
            reading.eq(~valid & ~asked & ((index != 0) | (level != 0))),
        ]
        with m.If(self.i.valid):
            advance(write.addr)
        with m.If(reading):
            advance(read.addr)
            m.d.sync += index.eq(index + 1)  # words is a power of two
        # Each word has its place, so that nothing is kept of bits that nobody reads.
        command = Signal.like(self.o.payload, reset_less=True)
        m.d.comb += self.o.payload.eq(command)
        word = read.data
        if self._config.pipelined:
            word = Signal.like(read.data, reset_less=True)
            m.d.sync += word.eq(read.data)
        # This copy serves the long register: what it does after a reset is no matter.
        m.submodules.shift = wide = Fanout(width=1, copies=1, dsp=self._config.dsp)
        m.d.comb += wide.i.eq(flight[-2][0])
        with m.If(wide.o[0]):
            m.d.sync += command.word_select(flight[-1][1], len(word)).eq(word)
        with m.If(flight[-1][0] & (flight[-1][1] == words - 1)):
            m.d.sync += valid.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += valid.eq(0)
        m.d.sync += [
            used.eq(used + self.i.valid - reading),
            level.eq(
                level + Mux(self.i.commit, self.i.count[: len(level)], 0) - (reading & (index == 0))
            ),
            self.overflow.eq(self.i.valid & (used == depth)),
        ]
        return m
