"""A ring of words, as whole block RAMs side by side."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.ports import word_write
from tilewright.hdl.families import get_family
from tilewright.hdl.lib.fanout import Fanout, FanoutTree
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
    far : bool; its many blocks are far apart: addresses reach them through a tree of registers
    dsp : str, as for :class:`~tilewright.hdl.lib.fanout.Fanout`
    by_rows : bool; a word is a share for each row of the array in turn, and lies beside it
    place : Place or None; where all of it lies, if not by rows

    Members
    -------
    i : In(word_write(width)); the address wraps at ``depth``
    addr : In(16); in parts of words
    enable : In(1), 1 if not connected; read ``addr``, else keep the word that was read last
    o : Out(width / parts)

    Timing
    ------
    ``o`` follows ``addr`` by ``latency(pipelined, far)`` cycles; a word can be read from the cycle
    after its write, or if pipelined or far, the cycles of those registers later.
    """

    #: Blocks that share the registers before them.
    FAN_OUT = 4

    @classmethod
    def latency(cls, pipelined, far=False):
        """Return the cycles from an address to its word."""
        return 1 + pipelined + FanoutTree.LATENCY * far

    def __init__(
        self,
        *,
        width,
        depth,
        parts=1,
        pipelined=True,
        far=False,
        dsp,
        by_rows=False,
        place=None,
    ):
        self._depth, self._parts, self._pipelined, self._far = depth, parts, pipelined, far
        self._dsp, self._by_rows, self._place = dsp, by_rows, place
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
        addr, data_in = Signal(16), self.i.data
        columns = -(-len(data_in) // column)
        copied = FanoutTree if self._far else Fanout
        writes, reads = Cat(self.i.valid, self.i.addr), self.addr
        for _ in range(copied.LATENCY if self._pipelined else 0):
            later = Signal.like(self.i.data, reset_less=True)
            m.d.sync += later.eq(data_in)
            data_in = later
        writes = self._near(m, "writes", writes, columns, copied if self._pipelined else None)
        reads = self._near(m, "reads", reads, columns, copied if self._far else None)
        domain = m.d.sync if self._pipelined else m.d.comb
        m.d.comb += addr.eq(reads[0])
        words = []
        for n, (write_control, read_addr) in enumerate(zip(writes, reads, strict=True)):
            bits = data_in[column * n : column * (n + 1)]
            place = Place(n, columns, rank=1) if self._by_rows else self._place
            memory = Memory(
                shape=unsigned(len(bits)),
                depth=self._depth,
                init=[],
                attrs={} if place is None else place.attributes,
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

    def _near(self, m, name, control, columns, copied):
        """Return ``control`` for each column; from registers, each for a few of them."""
        if copied is None:
            return [control] * columns
        m.submodules[name] = copies = copied(
            width=len(control), copies=-(-columns // self.FAN_OUT), dsp=self._dsp
        )
        m.d.comb += copies.i.eq(control)
        return [copies.o[n // self.FAN_OUT] for n in range(columns)]
