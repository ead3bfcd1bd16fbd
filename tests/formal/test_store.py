"""The store unit writes a command's block and is done when memory has confirmed all of it."""

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import data, wiring

from tests.formal.blocks import BlockRule
from tests.formal.conftest import Prove
from tests.formal.faults import Fault
from tests.formal.flight import Flight
from tests.formal.narrow import NarrowConfig
from tests.formal.proofs import free
from tests.formal.stable import assume_stable, stable
from tilewright.hdl.bus.axi import Response
from tilewright.hdl.bus.bursts import BlockLayout
from tilewright.hdl.bus.writer import Writer
from tilewright.hdl.commands.decode import command_view
from tilewright.hdl.commands.records import command_layout
from tilewright.hdl.store.unit import StoreUnit
from tilewright.isa import Store
from tilewright.isa.registers import Status
from tilewright.isa.widths import store_count_width

PENDING = 2  # of the writer, instead of 16


def engine(rows: int, *, pipelined: bool) -> NarrowConfig:
    """Return an engine with an output buffer of two words and bursts of two beats."""
    return NarrowConfig(
        rows=rows, out_depth=2, bus_width=32, addr_width=13, burst_beats=2, count_width=2,
        pipelined=pipelined, prefetch=pipelined,
    )  # fmt: skip


CONFIGS = {
    "a word a beat": engine(4, pipelined=True),
    "a word a beat, not pipelined": engine(4, pipelined=False),
    "two words a beat": engine(2, pipelined=True),
}


class StoreProperties(wiring.Component):
    """Any command, any counts and halt, and any memory that keeps AXI's rules.

    Blocks have up to 3 groups, 3 rows and 3 words. What beats hold is a proof of its own,
    `test_pack`: here words are zero.
    """

    def __init__(self, config: NarrowConfig) -> None:
        self._config = config
        self._unit = StoreUnit(config)
        members = self._unit.signature.members
        super().__init__(
            {name: members[name] for name in ("done_load", "done_compute", "axi", "halt")}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = unit = self._unit
        m.d.comb += [
            Assume(~ResetSignal()),
            unit.done_load.eq(self.done_load),
            unit.done_compute.eq(self.done_compute),
            unit.halt.eq(self.halt),
        ]
        wiring.connect(m, unit.axi, wiring.flipped(self.axi))
        command = self._command(m)
        running, ended = self._life(m, command)
        self._bus(m, command, running, ended)
        return m

    def _command(self, m: Module) -> data.View:
        """Offer any small command; return the one that runs, from its start on."""
        config, unit = self._config, self._unit
        layout = command_layout(Store)
        offered, kept = Signal(layout), Signal(layout)
        widths = {
            "opcode": 1, "wait_load": 2, "wait_compute": 2, "groups": 2, "height": 2, "width": 2,
            "base": 1,
        }  # fmt: skip
        m.d.comb += [offered[name].eq(free(m, width, name)) for name, width in widths.items()]
        beat_log2 = config.bus_bytes.bit_length() - 1
        for name in ("address", "group_stride"):
            m.d.comb += offered[name].eq(free(m, 3, name) << (beat_log2 - 1))
        m.d.comb += [
            unit.i.valid.eq(free(m, 1, "valid")),
            unit.i.payload.eq(offered.as_value()),
            unit.base.eq(free(m, 1, "base_page") << 12),
        ]
        assume_stable(m, "i", unit.i.valid, unit.i.ready, unit.i.payload)
        page, same = Signal.like(unit.base), Signal()
        m.d.sync += [page.eq(unit.base), same.eq(1)]
        m.d.comb += Assume(~same | (page == unit.base))
        with m.If(unit.start):
            m.d.sync += kept.eq(offered)
        return data.View(layout, Mux(unit.start, offered.as_value(), kept.as_value()))

    def _life(self, m: Module, command: data.View) -> tuple[Signal, Signal]:
        """Say when commands start, run and end; return whether one runs, and whether it may end."""
        config, unit = self._config, self._unit
        running, failed, ended = Signal(), Signal(), Signal()
        with m.If(unit.start):
            m.d.sync += running.eq(1)
        with m.Elif(unit.done):
            m.d.sync += running.eq(0)

        def reached(done: Value, wait: Value) -> Value:
            ahead = Signal(config.count_width)
            m.d.comb += ahead.eq(done - wait)
            return ahead < 1 << (config.count_width - 1)

        head = command_view(Store, unit.i.payload)
        allowed = Signal()
        m.d.sync += allowed.eq(
            unit.i.valid
            & ~unit.start
            & ~unit.i.ready
            & reached(unit.done_load, head.wait_load)
            & reached(unit.done_compute, head.wait_compute)
        )
        beat_log2 = config.bus_bytes.bit_length() - 1
        wrong = (
            (command.opcode != Store.OPCODE)
            | command.address[:beat_log2].any()
            | command.group_stride[:beat_log2].any()
            | (command.groups == 0)
            | (command.height == 0)
            | (command.width == 0)
        )
        bad = Signal()
        with m.If(unit.start):
            m.d.sync += bad.eq(wrong)
        with m.If(unit.error):
            m.d.sync += failed.eq(1)
        m.d.comb += [
            Assert(unit.start == (allowed & ~running & ~self.halt), "a command starts in time"),
            Assert(unit.busy == running, "busy from start to end"),
            Assert(unit.i.ready == (unit.start if config.prefetch else unit.done), "taken once"),
            Assert(~unit.done | (running & ended & ~bad), "done when all is confirmed"),
            Assert(~unit.error | running, "only a running command fails"),
            Assert(~unit.error | ~failed, "a failure is reported once"),
            Assert(~failed | ~unit.done, "what has failed is never done"),
            Assert(
                ~unit.error | ((unit.status == Status.BAD_COMMAND) == bad), "bad commands are named"
            ),
            Assert(~(running & bad) | ~self.axi.awvalid, "bad commands write nothing"),
        ]
        return running, ended

    def _bus(self, m: Module, command: data.View, running: Signal, ended: Signal) -> None:
        """Say what is written and where, and what memory answers."""
        config, unit, axi = self._config, self._unit, self.axi
        count_width = store_count_width(config)
        block = Signal(BlockLayout(config, count_width=count_width))
        m.submodules.rule = rule = BlockRule(config, count_width=count_width)
        m.submodules.flight = flight = Flight(PENDING)
        issued, beat, answer = Signal(), Signal(), Signal()
        m.d.comb += [
            issued.eq(axi.awvalid & axi.awready),
            beat.eq(axi.wvalid & axi.wready),
            answer.eq(axi.bvalid & axi.bready),
            block.address.eq(command.address + unit.base),
            block.groups.eq(command.groups),
            block.stride.eq(command.group_stride),
            block.height.eq(command.height),
            block.row_beats.eq(
                (command.width * config.rows + config.bus_bytes - 1) // config.bus_bytes
            ),
            rule.block.eq(block),
            rule.burst.eq(issued),
            rule.address.eq(axi.awaddr),
            rule.len.eq(axi.awlen),
            flight.burst.eq(issued),
            flight.len.eq(axi.awlen),
            flight.beat.eq(beat),
        ]
        beat_log2 = config.bus_bytes.bit_length() - 1
        m.d.comb += rule.start.eq(
            unit.start
            & (command.opcode == Store.OPCODE)
            & ~command.address[:beat_log2].any()
            & ~command.group_stride[:beat_log2].any()
            & (command.groups != 0)
            & (command.height != 0)
            & (command.width != 0)
        )
        owed, spoilt, told = Signal(range(PENDING + 2)), Signal(), Signal()
        m.d.sync += owed.eq(owed + (beat & axi.wlast) - answer)
        with m.If(answer & (axi.bresp != Response.OKAY)):
            m.d.sync += spoilt.eq(1)
        with m.If(unit.error):
            m.d.sync += told.eq(1)
        assume_stable(m, "b", axi.bvalid, axi.bready, axi.bresp)
        stable(m, "aw", axi.awvalid, axi.awready, Cat(axi.awaddr, axi.awlen))
        stable(m, "w", axi.wvalid, axi.wready, Cat(axi.wdata, axi.wlast))
        unconfirmed = (flight.level != 0) | (owed != 0)
        rests = Signal()
        m.d.sync += rests.eq(unit.quiet & self.halt)
        m.d.comb += [
            Assume(~axi.bvalid | (owed != 0)),
            ended.eq(~rule.open & ~unconfirmed & ~spoilt),
            Assert(~axi.wvalid | (flight.level != 0), "no beat without an address"),
            Assert(~axi.wvalid | (axi.wlast == flight.last), "WLAST with the last beat of a burst"),
            Assert(~axi.wvalid | axi.wstrb.all(), "every byte is written"),
            Assert(axi.bready, "confirmations are taken"),
            Assert(unit.quiet == ~(axi.awvalid | unconfirmed), "quiet"),
            Assert(~rests | ~self.halt | unit.quiet, "quiet stays"),
            Assert(
                ~unit.error | (unit.status != Status.WRITE_ERROR) | spoilt, "no false write error"
            ),
        ]

        # Something happens soon, wherever nobody else is waited for.
        others = (
            self.halt
            | (axi.awvalid & ~axi.awready)
            | (axi.wvalid & ~axi.wready)
            | ((owed != 0) & ~axi.bvalid)
        )
        longest = 16
        waited = Signal(range(longest + 1))
        with m.If(~running | told | issued | beat | answer | unit.done):
            m.d.sync += waited.eq(0)
        with m.Elif(~others & (waited != longest)):
            m.d.sync += waited.eq(waited + 1)
        m.d.comb += Assert(waited != longest, "a command comes to its end")


FAULTS = [
    Fault(StoreUnit, "self.start.eq(~self.halt & allowed)", "self.start.eq(allowed)",
          "a command starts in time"),
    Fault(StoreUnit, "& reached(self.done_load, head.wait_load)", "", "a command starts in time",
          method="_allowed"),
    Fault(StoreUnit, "with m.If(status != Status.IDLE):", "with m.If(0):",
          "bad commands write nothing"),
    Fault(StoreUnit, "with m.Elif(writer.complete):", "with m.Elif(writer.i.ready):",
          "done when all is confirmed"),
    Fault(StoreUnit, "with m.If(writer.error):", "with m.If(0):", "done when all is confirmed"),
    Fault(StoreUnit, "self.halt | failed", "self.halt & failed", "quiet stays"),
    Fault(StoreUnit, "writer.i.payload.groups.eq(command.groups)",
          "writer.i.payload.groups.eq(1)", "done when all is confirmed", method="_describe"),
    Fault(StoreUnit, "self.base[12:]", "self.base[13:]", "next address", method="_describe"),
    Fault(StoreUnit, "self.i.ready.eq(self.start)", "self.i.ready.eq(self.done)", "taken once"),
]  # fmt: skip

#: Cycles of a bounded proof: each takes about as long as all before it.
CYCLES = [13, pytest.param(16, marks=pytest.mark.exhaustive)]


@pytest.fixture(autouse=True)
def few_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the writer have fewer bursts unconfirmed, so that the proof ends soon."""
    monkeypatch.setattr(Writer, "PENDING", PENDING)


@pytest.mark.parametrize("cycles", CYCLES)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_proof(holds: Prove, config: NarrowConfig, cycles: int) -> None:
    holds(StoreProperties(config), depth=cycles)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_faults_are_found(finds: Prove, fault: Fault) -> None:
    finds(fault, StoreProperties(CONFIGS["a word a beat"]))
