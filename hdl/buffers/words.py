"""A ring of words, as whole block RAMs side by side."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.ports import word_write
from tilewright.hdl.families import get_family
from tilewright.hdl.lib.fanout import Fanout
from tilewright.hdl.lib.place import Place

__all__ = ["WordBuffer"]


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
    by_rows : bool; a word is a share for each row of the array in turn, and lies beside it

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

    def __init__(self, *, width, depth, parts=1, pipelined=True, far=False, dsp, by_rows=False):
        self._depth, self._parts, self._pipelined, self._far = depth, parts, pipelined, far
        self._dsp, self._by_rows = dsp, by_rows
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
        family = get_family(self._dsp)
        column = family.block_width(self._depth) if self._pipelined else len(self.i.data)
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
            memory = Memory(
                shape=unsigned(len(bits)),
                depth=self._depth,
                init=[],
                attrs=Place(n, columns, rank=1).attributes if self._by_rows else {},
            )
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
