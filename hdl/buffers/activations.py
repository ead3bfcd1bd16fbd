"""The activation buffer: pixel words, in lanes."""

from functools import reduce
from operator import or_
from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.ports import (
    folded,
    lane_addresses,
    lane_words,
    lane_write,
    word_write,
)
from tilewright.hdl.families import get_family
from tilewright.hdl.lib.fanout import Fanout
from tilewright.hdl.lib.place import Place
from tilewright.isa.widths import act_addr_width

__all__ = ["ActivationBuffer"]


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
    two cycles at the earliest, waits in a one-entry buffer for all lanes. Where two words of
    results leave in a cycle, they go to two lanes, and those of the next cycle to two others.
    Of lanes into which results come in two cycles that follow one another (``crowded_lanes``), what
    is loaded is written at once if it can be.

    Where the engine has a sampler or ``double_reads``, a lane's even words and its odd words lie in
    halves that are read at a place each: half a word's address.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i_load : In(lane_write); at most every second cycle for the same lane
    i_drain : In(lane_write)
    i_drain_odd : In(lane_write); only with ``2 * rows`` requantizers
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
                **({"i_drain_odd": In(lane_write(config))} if config.result_words == 2 else {}),
                "addr": In(lane_addresses(config)),
                "o": Out(lane_words(config)),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config = self._config
        i_load, *i_drains = self._arrive(m) if config.pipelined else (self.i_load, self.i_drain)
        halves = config.lane_halves
        width = act_addr_width(config)
        inner = width - (halves - 1)
        waits = lane_write(config).create()  # the drain's word, where there is one for all lanes
        for lane in range(config.cols):
            given = word_write(config.rows * 8).create()
            for half in range(halves):
                name = f"lane_{lane}" if halves == 1 else f"lane_{lane}_{half}"
                mine = given.addr[0] == half if halves == 2 else 1
                control = given.valid & mine, given.addr[halves - 1 : width]
                addr = (self.addr[lane] if halves == 1 else self.addr[lane][half])[:inner]
                o = self.o[lane] if halves == 1 else self.o[lane][half]
                self._memory(m, name, control, given.data, addr, o)
            if config.pipelined:
                # A word for this lane that waits; what is written goes a register further.
                waiting, addr = Signal(reset_less=True), Signal(width, reset_less=True)
                held = Signal.like(given.data, reset_less=True)
                loaded = i_load.valid[lane]
                drained = reduce(or_, (i_drain.valid[lane] for i_drain in i_drains))
                at_once = lane < config.crowded_lanes
                place = Mux(waiting, addr, i_load.addr) if at_once else addr
                for i_drain in i_drains:
                    place = Mux(i_drain.valid[lane], i_drain.addr, place)
                some = drained | waiting
                m.d.sync += [
                    given.valid.eq(some | loaded if at_once else some),
                    given.addr.eq(place),
                ]
                with m.If(loaded & some if at_once else loaded):
                    m.d.sync += [waiting.eq(1), addr.eq(i_load.addr)]
                with m.Elif(~drained):
                    m.d.sync += waiting.eq(0)
                share = len(held) // len(i_load.late_valid)
                for k, load in enumerate(i_load.late_valid):
                    part = slice(share * k, share * (k + 1))
                    word = held[part]
                    if at_once:
                        waited = Signal(name=f"waited_{k}", reset_less=True)
                        m.d.sync += waited.eq(waiting)
                        word = Mux(waited, word, i_load.late_data[part])
                    for i_drain in i_drains:
                        word = Mux(i_drain.late_valid[k][lane], i_drain.late_data[part], word)
                    m.d.comb += given.data[part].eq(word)
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
            with m.If(self.i_drain.valid):
                m.d.sync += [
                    waits.valid.eq(1),
                    waits.lane.eq(self.i_drain.lane),
                    waits.addr.eq(self.i_drain.addr),
                    waits.data.eq(self.i_drain.data),
                ]
        return m

    def _arrive(self, m):
        """Register what is written, with copies of decisions; return what is loaded first."""
        config, arrived = self._config, []
        sources = [("load", self.i_load), ("drain", self.i_drain)]
        if config.result_words == 2:
            sources.append(("drain_odd", self.i_drain_odd))
        for name, i in sources:
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
        """Add a lane's memory; ``control`` is enable and address of a write."""
        config = self._config
        depth = -(-config.act_depth // config.lane_halves)
        bits, (enable, place) = len(data_in), control
        control, addr = Cat(enable, folded(place, depth)), folded(addr, depth)
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
        column = get_family(config.dsp).block_width(depth)
        columns = -(-bits // column)
        m.submodules[f"{name}_controls"] = copies = Fanout(
            width=len(control) + len(addr), copies=columns, dsp=config.dsp
        )
        m.d.comb += copies.i.eq(Cat(control, addr))
        for n in range(columns):
            part = slice(column * n, column * (n + 1))
            late_data = Signal(len(data_in[part]), reset_less=True)
            memory = Memory(
                shape=unsigned(len(late_data)),
                depth=depth,
                init=[],
                attrs=Place(n, columns, rank=0).attributes,
            )
            m.submodules[f"{name}_{n}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.sync += late_data.eq(data_in[part])
            m.d.comb += [
                Cat(write.en, write.addr).eq(copies.o[n]),
                write.data.eq(late_data),
                read.en.eq(1),
                read.addr.eq(copies.o[n][len(control) :]),
            ]
            # The block RAM's own output is slow: one register (boards.flow.outreg moves it inside)
            # takes its delay out of the muxes, one more half of the way there.
            word, half_way = (Signal.like(read.data, reset_less=True) for _ in range(2))
            m.d.sync += [word.eq(read.data), half_way.eq(word)]
            m.d.comb += o[part].eq(half_way)
