"""Activation functions as tables."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.ports import word_write

__all__ = ["Lookup"]


class Lookup(wiring.Component):
    """Replace each byte by its entry in one of several tables of 256, or let it pass.

    Parameters
    ----------
    tables : int
    place : Place or None
        What of the array it works for.

    Members
    -------
    write : In(word_write(8)); ``addr`` is 256 times the table, counted from 0, plus the entry
    table : In(range(tables + 1)); 0 lets the byte pass, otherwise tables count from 1
    i : In(8)
    o : Out(8)

    Timing
    ------
    ``o`` follows ``i`` and ``table`` by ``LATENCY`` cycles, one byte per cycle; a multiplexer is
    behind its last register.
    """

    LATENCY = 2

    def __init__(self, *, tables, place=None):
        self._tables, self._place = tables, place
        super().__init__(
            {
                "write": In(word_write(8)),
                "table": In(range(tables + 1)),
                "i": In(8),
                "o": Out(8),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=unsigned(8),
            depth=256 * self._tables,
            init=[],
            attrs={} if self._place is None else self._place.attributes,
        )
        write, read = memory.write_port(), memory.read_port()
        # A register behind the memory, which is slow, and the choice behind that.
        entry, passes, passed = (Signal(width, reset_less=True) for width in (8, 9, 9))
        m.d.comb += [
            write.en.eq(self.write.valid),
            write.addr.eq(self.write.addr),
            write.data.eq(self.write.data),
            read.addr.eq(Cat(self.i, (self.table - 1)[: len(self.table)])),
        ]
        m.d.sync += [
            passes.eq(Cat(self.i, self.table == 0)),
            passed.eq(passes),
            entry.eq(read.data),
        ]
        m.d.comb += self.o.eq(Mux(passed[8], passed[:8], entry))
        return m
