"""On-chip memories: activations, weights, results on their way out."""

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.hdl.lib.fanout import Fanout
from tilewright.isa.widths import act_addr_width

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


#: Bits of a block RAM.
BLOCK = 16384


def block_width(depth):
    """Return the bits of a word that whole block RAMs of so many words have."""
    return max(1, BLOCK >> (depth - 1).bit_length())


class _Arrived(NamedTuple):
    """A pixel word to be written, which has arrived."""

    valid: Signal  #: whether it is for this or that lane
    addr: Signal
    late_valid: list  #: ``valid`` of the cycle before, for a few rows each
    late_data: Signal


class ActivationBuffer(wiring.Component):
    """``cols`` lanes of pixel words, each with an address of its own.

    Pixel x of a row lies in lane ``x % cols``, so ``cols`` neighbouring pixels, at any offset and
    at any stride that has no divisor in common with ``cols``, are read in one access.

    Each lane has one read port, for the feeder, and one write port, shared by the drain (first)
    and the load unit, whose word waits in a one-entry buffer. Neither is ever refused: the drain
    comes back to a lane after ``cols`` cycles at the earliest, the load unit after two. Without
    ``config.pipelined`` the load unit is first, and the drain's word, the next of which comes after
    two cycles at the earliest, waits in a one-entry buffer for all lanes.

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
    ``o`` follows ``addr`` by ``latency(config)`` cycles. A word can be read six cycles
    after it came.
    """

    LATENCY = 4
    #: Rows that share a copy of decisions.
    ROWS = 4

    @classmethod
    def latency(cls, config):
        """Return the cycles from an address to its word."""
        return cls.LATENCY if config.pipelined else 1

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
        i_load, i_drain = self._arrive(m) if config.pipelined else (self.i_load, self.i_drain)
        halves = 2 if config.offset_depth else 1
        width = act_addr_width(config)
        inner = width - (halves - 1)
        waits = lane_write(config).create()  # the drain's word, where there is one for all lanes
        for lane in range(config.cols):
            given = word_write(config.rows * 8).create()
            for half in range(halves):
                name = f"lane_{lane}" if halves == 1 else f"lane_{lane}_{half}"
                mine = given.addr[0] == half if halves == 2 else 1
                control = Cat(given.valid & mine, given.addr[halves - 1 : width])
                addr = (self.addr[lane] if halves == 1 else self.addr[lane][half])[:inner]
                o = self.o[lane] if halves == 1 else self.o[lane][half]
                self._memory(m, name, control, given.data, addr, o)
            if config.pipelined:
                # A word for this lane that waits; what is written goes a register further.
                waiting, addr = Signal(reset_less=True), Signal(width, reset_less=True)
                held = Signal.like(given.data, reset_less=True)
                loaded, drained = i_load.valid[lane], i_drain.valid[lane]
                m.d.sync += [
                    given.valid.eq(drained | waiting),
                    given.addr.eq(Mux(drained, i_drain.addr, addr)),
                ]
                with m.If(loaded):
                    m.d.sync += [waiting.eq(1), addr.eq(i_load.addr)]
                with m.Elif(~drained):
                    m.d.sync += waiting.eq(0)
                by_rows = list(zip(i_load.late_valid, i_drain.late_valid, strict=True))
                share = len(held) // len(by_rows)
                for k, (load, drain) in enumerate(by_rows):
                    part = slice(share * k, share * (k + 1))
                    m.d.comb += given.data[part].eq(
                        Mux(drain[lane], i_drain.late_data[part], held[part])
                    )
                    with m.If(load[lane]):
                        m.d.sync += held[part].eq(i_load.late_data[part])
            else:
                loaded = i_load.valid & (i_load.lane == lane)
                mine = waits.valid & (waits.lane == lane)
                m.d.comb += [
                    given.valid.eq(loaded | mine),
                    given.addr.eq(Mux(loaded, i_load.addr, waits.addr)),
                    given.data.eq(Mux(loaded, i_load.data, waits.data)),
                ]
                with m.If(mine & ~loaded):
                    m.d.sync += waits.valid.eq(0)
        if not config.pipelined:
            with m.If(i_drain.valid):
                m.d.sync += [
                    waits.valid.eq(1),
                    waits.lane.eq(i_drain.lane),
                    waits.addr.eq(i_drain.addr),
                    waits.data.eq(i_drain.data),
                ]
        return m

    def _arrive(self, m):
        """Register what is written, with copies of decisions; return both."""
        config, arrived = self._config, []
        for name, i in (("load", self.i_load), ("drain", self.i_drain)):
            word = _Arrived(
                valid=Signal(config.cols, reset_less=True),
                addr=Signal(act_addr_width(config), reset_less=True),
                late_valid=[],
                late_data=Signal.like(i.data, reset_less=True),
            )
            m.submodules[name] = rows = Fanout(
                width=config.cols, copies=max(1, config.rows // self.ROWS), dsp=config.dsp
            )
            word.late_valid.extend(rows.o[k] for k in range(rows.o.shape().length))
            early_data = Signal.like(i.data, reset_less=True)
            m.d.sync += [
                word.valid.eq(Cat(i.valid & (i.lane == lane) for lane in range(config.cols))),
                word.addr.eq(i.addr),
                early_data.eq(i.data),
                word.late_data.eq(early_data),
            ]
            m.d.comb += rows.i.eq(word.valid)
            arrived.append(word)
        return arrived

    def _memory(self, m, name, control, data_in, addr, o):
        """Add a lane's memory; ``control`` is Cat(enable, address) of a write."""
        config = self._config
        depth = -(-config.act_depth // (2 if config.offset_depth else 1))
        bits = len(data_in)
        if not config.pipelined:
            m.submodules[name] = memory = Memory(shape=unsigned(bits), depth=depth, init=[])
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                Cat(write.en, write.addr).eq(control),
                write.data.eq(data_in),
                read.en.eq(1),
                read.addr.eq(addr),
                o.eq(read.data),
            ]
            return
        # In columns, each a block RAM beside the rows that its channels go to: far from the others.
        column = block_width(depth)
        columns = -(-bits // column)
        m.submodules[f"{name}_controls"] = copies = Fanout(
            width=len(control) + len(addr), copies=columns, dsp=config.dsp
        )
        m.d.comb += copies.i.eq(Cat(control, addr))
        for n in range(columns):
            part = slice(column * n, column * (n + 1))
            late_data = Signal(len(data_in[part]), reset_less=True)
            memory = Memory(shape=unsigned(len(late_data)), depth=depth, init=[])
            m.submodules[f"{name}_{n}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.sync += late_data.eq(data_in[part])
            m.d.comb += [
                Cat(write.en, write.addr).eq(copies.o[n]),
                write.data.eq(late_data),
                read.en.eq(1),
                read.addr.eq(copies.o[n][len(control) :]),
            ]
            # The block RAM's own output is slow: one register (boards.outreg moves it inside) takes
            # its delay out of the muxes, one more half of the way there.
            word, half_way = (Signal.like(read.data, reset_less=True) for _ in range(2))
            m.d.sync += [word.eq(read.data), half_way.eq(word)]
            m.d.comb += o[part].eq(half_way)


class WordBuffer(wiring.Component):
    """A ring of ``depth`` words with one write and one read port.

    Parameters
    ----------
    width : int, bits of a word as it is written
    depth : int, power of two, in words as they are written
    parts : int, power of two; words that are read of each that is written
    pipelined : bool; a register behind the memory's own, and before its writes
    far : bool; registers before its reads too: its many blocks are far apart
    dsp : str, as for :class:`~tilewright.hdl.lib.fanout.Fanout`

    Members
    -------
    i : In(word_write(width)); the address wraps at ``depth``
    addr : In(16); in parts of words
    enable : In(1), 1 if not connected; read ``addr``, else keep the word that was read last
    o : Out(width / parts)

    Timing
    ------
    ``o`` follows ``addr`` by ``latency(pipelined, far)`` cycles; a word can be read from the cycle
    after its write, or if pipelined, a cycle later.
    """

    #: Blocks that share the registers before them.
    FAN_OUT = 4

    @classmethod
    def latency(cls, pipelined, far=False):
        """Return the cycles from an address to its word."""
        return 1 + pipelined + far

    def __init__(self, *, width, depth, parts=1, pipelined=True, far=False, dsp="inferred"):
        self._depth, self._parts, self._pipelined, self._far = depth, parts, pipelined, far
        self._dsp = dsp
        super().__init__(
            {
                "i": In(word_write(width)),
                "addr": In(16),
                "enable": In(1, init=1),
                "o": Out(width // parts),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        which = (self._parts - 1).bit_length()  # address bits that choose a part
        # In columns that are whole block RAMs deep: no multiplexer behind them.
        column = block_width(self._depth) if self._pipelined else len(self.i.data)
        addr, data_in = Signal(16), Signal.like(self.i.data, reset_less=True)
        columns = -(-len(data_in) // column)
        writes = self._near(m, "writes", Cat(self.i.valid, self.i.addr), columns, self._pipelined)
        reads = self._near(m, "reads", self.addr, columns, self._far)
        domain = m.d.sync if self._pipelined else m.d.comb
        domain += data_in.eq(self.i.data)
        m.d.comb += addr.eq(reads[0])
        words = []
        for n, (write_control, read_addr) in enumerate(zip(writes, reads, strict=True)):
            bits = data_in[column * n : column * (n + 1)]
            memory = Memory(shape=unsigned(len(bits)), depth=self._depth, init=[])
            m.submodules[f"column_{n}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                Cat(write.en, write.addr).eq(write_control),
                write.data.eq(bits),
                read.en.eq(self.enable),
                read.addr.eq(read_addr[which:]),
            ]
            words.append(read.data)
        word = Cat(words)
        if which:
            part = Signal(which, reset_less=True)
            with m.If(self.enable):
                m.d.sync += part.eq(addr[:which])
            word = word.word_select(part, len(self.o))
        o = Signal.like(self.o, reset_less=True)
        domain += o.eq(word)
        m.d.comb += self.o.eq(o)
        return m

    def _near(self, m, name, control, columns, registered):
        """Return ``control`` for each column; from registers, each for a few of them."""
        if not registered:
            return [control] * columns
        m.submodules[name] = copies = Fanout(
            width=len(control), copies=-(-columns // self.FAN_OUT), dsp=self._dsp
        )
        m.d.comb += copies.i.eq(control)
        return [copies.o[n // self.FAN_OUT] for n in range(columns)]


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
    As for :class:`WordBuffer`, pipelined and far or neither.
    """

    @classmethod
    def latency(cls, config):
        """Return the cycles from an address to its word."""
        return WordBuffer.latency(config.pipelined, far=config.pipelined)

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
        built = {"pipelined": config.pipelined, "far": config.pipelined, "dsp": config.dsp}
        m.submodules.low = low = WordBuffer(
            width=8 * config.rows,
            depth=config.weight_depth // config.weights_per_byte,
            parts=config.weights_per_byte,
            **built,
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
        m.submodules.high = high = WordBuffer(
            width=above * config.rows, depth=config.weight_depth, **built
        )
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
