"""On-chip memories: activations, weights, results on their way out."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.hdl.widths import act_addr_width

__all__ = [
    "ActivationBuffer",
    "WeightBuffer",
    "WordBuffer",
    "lane_addresses",
    "lane_words",
    "lane_write",
    "weight_write",
    "word_write",
]


def word_write(width):
    """Return the signature of a write that is always accepted: ``valid``, ``addr``, ``data``."""
    return wiring.Signature({"valid": Out(1), "addr": Out(16), "data": Out(width)})


def lane_write(config):
    """Return the signature of a pixel word written to one lane of the activation buffer."""
    return wiring.Signature(
        {
            "valid": Out(1),
            "lane": Out(range(config.cols)),
            "addr": Out(16),
            "data": Out(config.rows * 8),
        }
    )


def weight_write(config):
    """Return the signature of a write to the weight buffer.

    ``half``: 0 for a whole word, whose bytes are extended with their sign; 1 for the low bytes of
    a wide word, 2 for what is above them.
    """
    members = {"valid": Out(1), "addr": Out(16), "data": Out(config.rows * 8)}
    return wiring.Signature(members | ({"half": Out(2)} if config.kernel_width > 8 else {}))


def lane_addresses(config):
    """Return where each lane is read: a lane word, or a place in each of its halves."""
    lane = data.ArrayLayout(unsigned(16), 2) if config.offset_depth else unsigned(16)
    return data.ArrayLayout(lane, config.cols)


def lane_words(config):
    """Return what is read there: a pixel word, or one from each half."""
    word = unsigned(config.rows * 8)
    lane = data.ArrayLayout(word, 2) if config.offset_depth else word
    return data.ArrayLayout(lane, config.cols)


class ActivationBuffer(wiring.Component):
    """``cols`` lanes of pixel words, each with an address of its own.

    Pixel x of a row lies in lane ``x % cols``, so ``cols`` neighbouring pixels, at any offset and
    at any stride that has no divisor in common with ``cols``, are read in one access.

    Each lane has one read port, for the feeder, and one write port, shared by the drain (first)
    and the load unit, whose word waits in a one-entry buffer. Neither is ever refused: the drain
    comes back to a lane after ``cols`` cycles at the earliest, the load unit after two.

    Where the engine has a sampler, a lane's even words and its odd words lie in halves that are
    read at a place each: half a word's address.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i_load : In(lane_write); at most every second cycle for the same lane
    i_drain : In(lane_write)
    addr : In(lane_addresses)
    o : Out(lane_words)

    Timing
    ------
    ``o`` follows ``addr`` by ``LATENCY`` cycles. A word from ``i_drain`` can be read from the next
    cycle on, one from ``i_load`` after ``LOAD_SETTLE`` cycles.
    """

    LATENCY = 2
    LOAD_SETTLE = 3

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "i_load": In(lane_write(config)),
                "i_drain": In(lane_write(config)),
                "addr": In(lane_addresses(config)),
                "o": Out(lane_words(config)),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config = self._config
        halves = 2 if config.offset_depth else 1
        depth = -(-config.act_depth // halves)
        for lane in range(config.cols):
            memories = [
                Memory(shape=unsigned(config.rows * 8), depth=depth, init=[]) for _ in range(halves)
            ]
            width = act_addr_width(config)
            write = word_write(config.rows * 8).create()
            for half, memory in enumerate(memories):
                name = f"lane_{lane}" if halves == 1 else f"lane_{lane}_{half}"
                m.submodules[name] = memory
                port, read = memory.write_port(), memory.read_port()
                addr = self.addr[lane] if halves == 1 else self.addr[lane][half]
                o = self.o[lane] if halves == 1 else self.o[lane][half]
                mine = write.addr[0] == half if halves == 2 else 1
                m.d.comb += [
                    port.en.eq(write.valid & mine),
                    port.addr.eq(write.addr[halves - 1 : width]),
                    port.data.eq(write.data),
                    read.en.eq(1),
                    read.addr.eq(addr[: len(read.addr)]),
                ]
                # The block RAM's own output is slow; this register takes its delay out of the
                # muxes.
                m.d.sync += o.eq(read.data)

            waiting = Signal()
            addr, word = Signal(width), Signal(config.rows * 8)
            drained = Signal()
            m.d.comb += drained.eq(self.i_drain.valid & (self.i_drain.lane == lane))
            with m.If(drained):
                m.d.comb += [
                    write.valid.eq(1),
                    write.addr.eq(self.i_drain.addr[:width]),
                    write.data.eq(self.i_drain.data),
                ]
            with m.Else():
                m.d.comb += [write.valid.eq(waiting), write.addr.eq(addr), write.data.eq(word)]
                m.d.sync += waiting.eq(0)
            with m.If(self.i_load.valid & (self.i_load.lane == lane)):
                m.d.sync += [
                    waiting.eq(1),
                    addr.eq(self.i_load.addr[:width]),
                    word.eq(self.i_load.data),
                ]
        return m


class WordBuffer(wiring.Component):
    """A ring of ``depth`` words with one write and one read port.

    Parameters
    ----------
    width : int, bits of a word as it is written
    depth : int, power of two, in words as they are written
    parts : int, power of two; words that are read of each that is written

    Members
    -------
    i : In(word_write(width)); the address wraps at ``depth``
    addr : In(16); in parts of words
    o : Out(width / parts)

    Timing
    ------
    ``o`` follows ``addr`` by ``LATENCY`` cycles; a word can be read from the cycle after its write.
    """

    LATENCY = 2

    def __init__(self, *, width, depth, parts=1):
        self._depth, self._parts = depth, parts
        super().__init__({"i": In(word_write(width)), "addr": In(16), "o": Out(width // parts)})

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=unsigned(len(self.i.data)), depth=self._depth, init=[]
        )
        which = (self._parts - 1).bit_length()  # address bits that choose a part
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(self.i.valid),
            write.addr.eq(self.i.addr[: len(write.addr)]),
            write.data.eq(self.i.data),
            read.en.eq(1),
            read.addr.eq(self.addr[which : which + len(read.addr)]),
        ]
        if not which:
            m.d.sync += self.o.eq(read.data)
        else:
            part = Signal(which)
            m.d.sync += [
                part.eq(self.addr[:which]),
                self.o.eq(read.data.word_select(part, len(self.o))),
            ]
        return m


class WeightBuffer(wiring.Component):
    """A ring of ``weight_depth`` words, each ``rows`` weights of ``weight_width`` bits.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(weight_write)
    i_kernels : In(word_write(rows * kernel_width)); transformed weights, not together with ``i``;
        only where the engine transforms kernels
    addr : In(16)
    o : Out(rows * weight_width)

    Timing
    ------
    As for :class:`WordBuffer`.
    """

    LATENCY = WordBuffer.LATENCY

    def __init__(self, config):
        self._config = config
        kernels = word_write(config.rows * config.kernel_width)
        super().__init__(
            {
                "i": In(weight_write(config)),
                **({"i_kernels": In(kernels)} if config.transform_at_load else {}),
                "addr": In(16),
                "o": Out(config.rows * config.weight_width),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config, i = self._config, self.i
        m.submodules.low = low = WordBuffer(
            width=8 * config.rows,
            depth=config.weight_depth // config.weights_per_byte,
            parts=config.weights_per_byte,
        )
        above = config.kernel_width - 8
        m.d.comb += [
            low.i.addr.eq(i.addr),
            low.i.data.eq(i.data),
            low.i.valid.eq(i.valid & (i.half != 2 if above else 1)),
            low.addr.eq(self.addr),
        ]
        if not above:
            m.d.comb += self.o.eq(low.o)
            return m
        m.submodules.high = high = WordBuffer(width=above * config.rows, depth=config.weight_depth)
        m.d.comb += [
            high.i.addr.eq(low.i.addr),
            high.i.valid.eq(i.valid & (i.half != 1)),
            high.addr.eq(self.addr),
        ]
        if config.transform_at_load:
            with m.If(self.i_kernels.valid):
                m.d.comb += [
                    low.i.addr.eq(self.i_kernels.addr),
                    low.i.valid.eq(1),
                    high.i.valid.eq(1),
                ]
        for k in range(config.rows):
            byte = i.data.word_select(k, 8)
            extended = Mux(i.half == 2, byte[:above], byte[7].replicate(above))
            if config.transform_at_load:
                whole = self.i_kernels.data.word_select(k, config.kernel_width)
                extended = Mux(self.i_kernels.valid, whole[8:], extended)
                m.d.comb += low.i.data.word_select(k, 8).eq(
                    Mux(self.i_kernels.valid, whole[:8], byte)
                )
            m.d.comb += [
                high.i.data.word_select(k, above).eq(extended),
                self.o.word_select(k, config.weight_width).eq(
                    Cat(low.o.word_select(k, 8), high.o.word_select(k, above))
                ),
            ]
        return m
