"""Activation functions as tables."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.ports import folded, word_write
from tilewright.hdl.drain.requantize import Requantize
from tilewright.hdl.lib.fanout import FanoutTree
from tilewright.hdl.lib.place import Place

__all__ = ["Lookup", "add_lookups"]


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


def add_lookups(m, config, table_write, constants):
    """Add the tables behind the requantizers; return a :class:`Lookup` for each.

    Parameters
    ----------
    m : Module, to which this is added
    config : EngineConfig
    table_write : word_write(8), into every table
    constants : function that returns those of a pass, of a kind and at a stage behind the heads
    """
    count = config.requantizer_count
    written = Cat(
        table_write.valid,
        folded(table_write.addr, 256 * config.tables),
        table_write.data,
    )
    late = Requantize.latency(config.pipelined)
    if config.pipelined:
        # They are all over the FPGA, and so are copies of what they are told.
        m.submodules.table_writes = writes = FanoutTree(
            width=len(written), copies=-(-count // FanoutTree.SHARE), dsp=config.dsp
        )
        table = constants("table", late - FanoutTree.LATENCY)
        m.submodules.tables = tables = FanoutTree(width=len(table), copies=count, dsp=config.dsp)
        m.d.comb += [writes.i.eq(written), tables.i.eq(table)]
        writes, tables = list(writes.o), list(tables.o)
    else:
        later = Signal.like(written)
        m.d.sync += later.eq(written)
        writes, tables = [later], [constants("table", late)] * count
    lookups = []
    for i in range(count):
        lookup = Lookup(tables=config.tables, place=Place(i, count, rank=2))
        m.submodules[f"lookup_{i}"] = lookup
        write = writes[i * len(writes) // count]
        m.d.comb += [
            lookup.write.valid.eq(write[0]),
            lookup.write.addr.eq(write[1:-8]),
            lookup.write.data.eq(write[-8:]),
            lookup.table.eq(tables[i]),
        ]
        lookups.append(lookup)
    return lookups
