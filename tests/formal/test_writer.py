"""The AXI writer writes every beat of a block once and waits for every confirmation."""

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, ResetSignal, Signal
from amaranth.lib import wiring

from tests.formal.blocks import BlockRule
from tests.formal.conftest import Prove
from tests.formal.faults import Fault
from tests.formal.flight import Flight
from tests.formal.narrow import NarrowConfig
from tests.formal.stable import assume_stable, stable
from tilewright.hdl.bus.axi import Burst, Response
from tilewright.hdl.bus.bursts import Bursts
from tilewright.hdl.bus.writer import Writer
from tilewright.isa.widths import store_count_width

#: Bursts of at most two beats; up to 3 runs of up to 3 beats.
CONFIG = NarrowConfig(rows=4, out_depth=2, bus_width=32, addr_width=6, burst_beats=2)


class SmallWriter(Writer):
    """With place for fewer bursts."""

    PENDING = 2


class WriterProperties(wiring.Component):
    """Any block, beats at any time, any halt, any ready, and any memory that keeps AXI's rules.

    Beats are assumed to say rightly which is the last of its run. Two things are fixed, so that the
    proof ends soon: runs have one row (rows are the burst cutter's), and of the data, which are
    only passed on, one bit is free.
    """

    def __init__(self, config: NarrowConfig) -> None:
        self._config = config
        self._writer = SmallWriter(config)
        super().__init__(self._writer.signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, axi, block = self._config, self.axi, self.i.payload
        limit, count_width = SmallWriter.PENDING, store_count_width(config)
        m.submodules.writer = self._writer
        wiring.connect(m, wiring.flipped(self), self._writer)
        m.submodules.rule = rule = BlockRule(config, count_width=count_width)
        m.submodules.flight = flight = Flight(limit)
        start, issued, beat, answer = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            Assume(~ResetSignal()),
            start.eq(self.i.valid & self.i.ready),
            issued.eq(axi.awvalid & axi.awready),
            beat.eq(axi.wvalid & axi.wready),
            answer.eq(axi.bvalid & axi.bready),
            rule.block.eq(block),
            rule.start.eq(start),
            rule.burst.eq(issued),
            rule.address.eq(axi.awaddr),
            rule.len.eq(axi.awlen),
            flight.burst.eq(issued),
            flight.len.eq(axi.awlen),
            flight.beat.eq(beat),
        ]

        # Memory confirms bursts that it has, one after another.
        owed = Signal(range(limit + 2))
        m.d.sync += owed.eq(owed + (beat & axi.wlast) - answer)
        assume_stable(m, "b", axi.bvalid, axi.bready, axi.bresp)
        m.d.comb += Assume(~axi.bvalid | (owed != 0))

        # Beats: of a new block from its start on; `left` in the run.
        left = Signal(len(block.height) + len(block.row_beats))
        with m.If(start):
            m.d.sync += left.eq(block.height * block.row_beats)
        with m.Elif(beat):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 1):
                m.d.sync += left.eq(block.height * block.row_beats)
        stride, height = Signal.like(block.stride), Signal.like(block.height)
        row_beats = Signal.like(block.row_beats)
        with m.If(start):
            m.d.sync += [
                stride.eq(block.stride),
                height.eq(block.height),
                row_beats.eq(block.row_beats),
            ]
        waiting, kept = Signal(), Signal.like(self.i_beats.payload)
        m.d.sync += [
            waiting.eq(self.i_beats.valid & ~self.i_beats.ready & ~start),
            kept.eq(self.i_beats.payload),
        ]
        m.d.comb += [
            Assume(~self.i.valid | self.complete),
            Assume(self.i_beats.payload.data[1:] == 0),
            Assume(block.height == 1),
            Assume(self.complete | ((block.stride == stride) & (block.height == height))),
            Assume(self.complete | (block.row_beats == row_beats)),
            Assume(~waiting | (self.i_beats.valid & (self.i_beats.payload == kept))),
            Assume(~self.i_beats.valid | (self.i_beats.payload.last == (left == 1))),
        ]

        # Addresses.
        stable(m, "aw", axi.awvalid, axi.awready, Cat(axi.awaddr, axi.awlen))
        m.d.comb += [
            Assert(axi.awaddr[config.addr_width :] == 0, "addresses are within the engine's reach"),
            Assert(axi.awburst == Burst.INCR, "bursts count up"),
            Assert(1 << axi.awsize == config.bus_bytes, "beats are whole"),
            Assert(axi.awid == 0, "one identifier, so beats are in order"),
            Assert(flight.level + owed <= limit, "no more unconfirmed than agreed"),
        ]

        # Beats go on in the cycle in which they come, when memory has the address of their burst.
        stable(m, "w", axi.wvalid, axi.wready, Cat(axi.wdata, axi.wlast))
        may_write = flight.level != 0
        m.d.comb += [
            Assert(axi.wvalid == (self.i_beats.valid & may_write), "no beat is lost or invented"),
            Assert(self.i_beats.ready == (axi.wready & may_write), "no beat is taken unseen"),
            Assert(axi.wdata == self.i_beats.payload.data, "no beat is changed"),
            Assert(axi.wstrb.all(), "every byte is written"),
            Assert(~axi.wvalid | (axi.wlast == flight.last), "WLAST with the last beat of a burst"),
            Assert(axi.bready, "confirmations are taken"),
        ]

        # What the unit is told.
        was_beat, was_bad, rests = Signal(), Signal(), Signal()
        m.d.sync += [
            was_beat.eq(beat),
            was_bad.eq(answer & (axi.bresp != Response.OKAY)),
            rests.eq(self.quiet & self.halt),
        ]
        unconfirmed = (flight.level != 0) | (owed != 0)
        m.d.comb += [
            Assert(self.beat == was_beat, "beats are counted"),
            Assert(self.error == was_bad, "errors are reported"),
            Assert(self.quiet == ~(axi.awvalid | unconfirmed), "quiet"),
            Assert(~rests | ~self.halt | self.quiet, "quiet stays"),
            Assert(self.complete == ~(rule.open | unconfirmed), "complete when all is confirmed"),
            Assert(self.i.ready == ~rule.open, "a block is taken at once"),
        ]

        # Time: rows are added while a burst waits for leave.
        leave, may, was_valid, was_issued = Signal(), Signal(), Signal(), Signal()
        m.d.comb += leave.eq(~self.halt & (flight.level + owed != limit))
        m.d.sync += [may.eq(leave), was_valid.eq(axi.awvalid), was_issued.eq(issued)]
        rises = axi.awvalid & (~was_valid | was_issued)
        longest = Bursts.NEXT + (1 << count_width) - 2
        waited = Signal(range(longest + 2))
        with m.If(~rule.open | axi.awvalid):
            m.d.sync += waited.eq(0)
        with m.Elif(leave):
            m.d.sync += waited.eq(waited + 1)
        m.d.comb += [
            Assert(~rises | may, "no burst starts when halted or when all are unconfirmed"),
            Assert(waited < longest, "the next burst comes in time"),
        ]
        return m


FAULTS = [
    Fault(Writer, "(pending != self.PENDING)", "1",
          "no burst starts when halted or when all are unconfirmed"),
    Fault(Writer, "& ~self.halt", "", "quiet stays"),
    Fault(Writer, "axi.wvalid.eq(self.i_beats.valid & may_write)",
          "axi.wvalid.eq(self.i_beats.valid)", "no beat is lost or invented"),
    Fault(Writer, "axi.wready & may_write", "axi.wready", "no beat is taken unseen"),
    Fault(Writer, "self.i_beats.payload.last | (index + 1)[high - low]",
          "self.i_beats.payload.last", "WLAST with the last beat of a burst"),
    Fault(Writer, "index.eq(Mux(self.i_beats.payload.last, next_run, index + 1))",
          "index.eq(index + 1)", "WLAST with the last beat of a burst"),
    Fault(Writer, "run.eq(next_run)", "run.eq(run)", "WLAST with the last beat of a burst"),
    Fault(Writer, "pending.eq(pending + issued - confirmed)", "pending.eq(credit)", "quiet"),
    Fault(Writer, "bursts.idle & (pending == 0)", "bursts.idle", "complete when all is confirmed"),
    Fault(Writer, "confirmed & (axi.bresp != 0)", "confirmed & axi.bresp[0]",
          "errors are reported"),
    Fault(Writer, "axi.wstrb.eq(~0)", "axi.wstrb.eq(1)", "every byte is written"),
]  # fmt: skip


def test_proof(holds: Prove) -> None:
    holds(WriterProperties(CONFIG))


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_faults_are_found(finds: Prove, fault: Fault) -> None:
    finds(fault, WriterProperties(CONFIG))
