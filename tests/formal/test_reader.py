"""The AXI reader asks for every beat of a block once, and delivers all that memory sends."""

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
from tilewright.hdl.bus.reader import Reader
from tilewright.isa.widths import load_count_width

#: Two bursts of at most two beats in flight; up to 3 runs of up to 3 rows of up to 3 beats.
CONFIG = NarrowConfig(
    rows=4, cols=3, act_depth=1, weight_depth=1, queue_depth=1, least_bytes=4,
    bus_width=32, addr_width=6, burst_beats=2, outstanding=2,
)  # fmt: skip


class ReaderProperties(wiring.Component):
    """Any block, any halt, any ready, and any memory that keeps AXI's rules."""

    def __init__(self, config: NarrowConfig) -> None:
        self._config = config
        self._reader = Reader(config)
        super().__init__(self._reader.signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, axi = self._config, self.axi
        m.submodules.reader = self._reader
        wiring.connect(m, wiring.flipped(self), self._reader)
        count_width = load_count_width(config)
        m.submodules.rule = rule = BlockRule(config, count_width=count_width)
        m.submodules.flight = flight = Flight(config.outstanding)
        issued, beat = Signal(), Signal()
        m.d.comb += [
            Assume(~ResetSignal()),
            issued.eq(axi.arvalid & axi.arready),
            beat.eq(axi.rvalid & axi.rready),
            rule.block.eq(self.i.payload),
            rule.start.eq(self.i.valid & self.i.ready),
            rule.burst.eq(issued),
            rule.address.eq(axi.araddr),
            rule.len.eq(axi.arlen),
            flight.burst.eq(issued),
            flight.len.eq(axi.arlen),
            flight.beat.eq(beat),
        ]

        # Memory answers what was asked for, in order.
        assume_stable(m, "r", axi.rvalid, axi.rready, Cat(axi.rdata, axi.rresp, axi.rlast))
        m.d.comb += [
            Assume(~axi.rvalid | (flight.level != 0)),
            Assume(~axi.rvalid | (axi.rlast == flight.last)),
        ]

        # Addresses.
        stable(m, "ar", axi.arvalid, axi.arready, Cat(axi.araddr, axi.arlen))
        m.d.comb += [
            Assert(axi.araddr[config.addr_width :] == 0, "addresses are within the engine's reach"),
            Assert(axi.arburst == Burst.INCR, "bursts count up"),
            Assert(1 << axi.arsize == config.bus_bytes, "beats are whole"),
            Assert(axi.arid == 0, "one identifier, so answers are in order"),
            Assert(flight.level <= config.outstanding, "no more in flight than agreed"),
        ]

        # Beats: each goes on in the cycle in which it comes, or is dropped after a halt.
        halted, was_beat, was_bad = Signal(), Signal(), Signal()
        m.d.sync += [
            halted.eq(self.halt),
            was_beat.eq(beat),
            was_bad.eq(beat & (axi.rresp != Response.OKAY)),
        ]
        m.d.comb += [
            Assert(self.o.valid == axi.rvalid, "no beat is lost or invented"),
            Assert(self.o.payload == axi.rdata, "no beat is changed"),
            Assert(axi.rready == (self.o.ready | halted), "a beat is taken when it can go on"),
            Assert(self.beat == was_beat, "beats are counted"),
            Assert(self.error == was_bad, "errors are reported"),
        ]

        # Halt and quiet.
        rests, may, was_valid, was_issued = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            rests.eq(self.quiet & self.halt),
            may.eq(~self.halt & (flight.level != config.outstanding)),
            was_valid.eq(axi.arvalid),
            was_issued.eq(issued),
        ]
        rises = axi.arvalid & (~was_valid | was_issued)
        m.d.comb += [
            Assert(~rises | may, "no burst starts when halted or when all are in flight"),
            Assert(self.quiet == (~axi.arvalid & (flight.level == 0)), "quiet"),
            Assert(~rests | ~self.halt | self.quiet, "quiet stays"),
        ]

        # Time: rows are added while a burst waits for leave.
        limit = Bursts.NEXT + (1 << count_width) - 2
        waited = Signal(range(limit + 2))
        with m.If(~rule.open | axi.arvalid):
            m.d.sync += waited.eq(0)
        with m.Elif(~self.halt & (flight.level != config.outstanding)):
            m.d.sync += waited.eq(waited + 1)
        m.d.comb += [
            Assert(waited < limit, "the next burst comes in time"),
            Assert(self.i.ready == ~rule.open, "a block is taken at once"),
        ]
        return m


FAULTS = [
    Fault(Reader, "(flying != limit)", "(flying <= limit)",
          "no burst starts when halted or when all are in flight"),
    Fault(Reader, "& ~self.halt", "", "no burst starts when halted or when all are in flight"),
    Fault(Reader, "(beat & axi.rlast)", "beat", "quiet"),
    Fault(Reader, "self.o.valid.eq(axi.rvalid)", "self.o.valid.eq(axi.rvalid & ~drop)",
          "no beat is lost or invented"),
    Fault(Reader, "axi.rready.eq(self.o.ready | drop)", "axi.rready.eq(self.o.ready)",
          "a beat is taken when it can go on"),
    Fault(Reader, "~axi.arvalid & (flying == 0)", "flying == 0", "quiet"),
    Fault(Reader, "self.error.eq(beat & ", "self.error.eq(", "errors are reported"),
    Fault(Reader, "axi.arvalid.eq(bursts.o.valid)", "axi.arvalid.eq(bursts.o.valid & ~self.halt)",
          "ar is stable until ready"),
    Fault(Reader, "bursts.o.ready.eq(axi.arready)", "bursts.o.ready.eq(1)",
          "ar is stable until ready"),
]  # fmt: skip


def test_proof(holds: Prove) -> None:
    holds(ReaderProperties(CONFIG))


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_faults_are_found(finds: Prove, fault: Fault) -> None:
    finds(fault, ReaderProperties(CONFIG))
