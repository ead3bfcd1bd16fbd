"""The SDRAM controller keeps every rule of its chip, and answers every request once."""

import pytest
from amaranth.hdl import Assert, Assume, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from tests.formal.chip import ChipRules
from tests.formal.conftest import Prove
from tests.formal.faults import Fault
from tests.formal.flight import Flight
from tests.formal.proofs import free
from tests.formal.stable import assume_stable, stable
from tilewright.hdl.bus.axi import AXI4
from tilewright.hdl.memory import sdram
from tilewright.hdl.memory.banks import Banks
from tilewright.hdl.memory.chip import SDRAMChip
from tilewright.hdl.memory.keeper import Keeper
from tilewright.hdl.memory.mover import Mover
from tilewright.hdl.memory.opener import Opener
from tilewright.hdl.memory.parameters import SDRAMParameters
from tilewright.hdl.memory.pieces import Pieces
from tilewright.hdl.memory.pins import Command
from tilewright.hdl.memory.sdram import SDRAMController

#: Two rows of four words in each bank, and times none of which follows from the others.
CHIP = SDRAMChip(
    name="narrow",
    data_width=16,
    row_width=1,
    column_width=2,
    cas_latency=2,
    max_clock_mhz=100.0,
    rcd_ns=40.0,
    rp_ns=20.0,
    ras_ns=80.0,
    rc_ns=110.0,
    rfc_ns=40.0,
    rrd_ns=20.0,
    wr_ns=40.0,
    refresh_ms=0.0006,
    refreshes=1,
    power_up_us=0.01,
    source="this proof",
)
PARAMETERS = SDRAMParameters(chip=CHIP, clock_mhz=100.0, data_width=32, buffer_beats=4)
#: Two pieces that were chosen before, each of which closes a row after a write, opens another one,
#: changes direction and moves its beats.
LATEST = 40
BEATS = 2  # of a burst, at most
FLYING = 3  # bursts of a direction


class Requests(wiring.Component):
    """Any requests of up to ``BEATS`` beats in any cycle, any beats, any ready."""

    def __init__(self) -> None:
        super().__init__({"axi": In(AXI4(data_width=32)), "align": In(1)})

    def controller(self, m: Module) -> SDRAMController:
        """Add a controller behind the bus."""
        m.submodules.dut = dut = SDRAMController(PARAMETERS)
        wiring.connect(m, wiring.flipped(self.axi), dut.axi)
        m.d.comb += [
            Assume(~ResetSignal()),
            Assume(self.axi.arlen < BEATS),
            Assume(self.axi.awlen < BEATS),
        ]
        return dut


class ChipProperties(Requests):
    """A refresh may be wanted in any cycle, whatever is under way.

    Parameters
    ----------
    up : bool   the chip is up, with :class:`NoKeeper`
    """

    def __init__(self, *, up: bool) -> None:
        self._up = up
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.controller(m)
        words = PARAMETERS.geometry.words
        m.submodules.rules = rules = ChipRules(CHIP, PARAMETERS.cycles, words=words, up=self._up)
        wiring.connect(m, dut.pins, rules.pins)
        m.d.comb += dut.align.eq(self.align)
        return m


class AnswerProperties(Requests):
    """No beat comes before the address of its burst."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.controller(m)
        axi = self.axi
        m.submodules.reads = reads = Flight(FLYING)
        m.submodules.writes = writes = Flight(FLYING)
        over = Signal()
        written = Signal(range(2 * FLYING + 2))  # bursts whose last beat has been given
        m.d.comb += [
            reads.burst.eq(axi.arvalid & axi.arready),
            reads.len.eq(axi.arlen),
            reads.beat.eq(axi.rvalid & axi.rready),
            writes.burst.eq(axi.awvalid & axi.awready),
            writes.len.eq(axi.awlen),
            writes.beat.eq(axi.wvalid & axi.wready),
            over.eq(writes.beat & writes.last),
            Assume((reads.level < FLYING) | ~axi.arvalid),
            Assume((writes.level < FLYING) | ~axi.awvalid),
            Assume(~axi.wvalid | (writes.level != 0)),
            Assume(written < 2 * FLYING),
            Assert(~axi.rvalid | (reads.level != 0), "no beat that nobody asked for"),
            Assert(~axi.rvalid | (axi.rlast == reads.last), "RLAST with the last beat of a burst"),
            Assert(axi.rresp == 0, "reads succeed"),
            Assert(axi.bresp == 0, "writes succeed"),
            Assert(~axi.bvalid | (written != 0), "no confirmation of what was not given"),
        ]
        m.d.sync += written.eq(written + over - (axi.bvalid & axi.bready))
        stable(m, "r", axi.rvalid, axi.rready, axi.rlast)
        assume_stable(m, "ar", axi.arvalid, axi.arready, axi.araddr)
        assume_stable(m, "aw", axi.awvalid, axi.awready, axi.awaddr)
        return m


class NoKeeper(Keeper):
    """A chip that is up and needs no refresh."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.ready.eq(1),
            self.may_choose.eq(1),
            self.command.eq(Command.NOP),
        ]
        return m


class Impatient(Keeper):
    """Lets no piece be chosen from any cycle on, until all that was chosen is done."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wants, waited = Signal(), Signal(range(LATEST + 2))
        m.d.comb += [
            self.ready.eq(1),
            self.may_choose.eq(~wants),
            self.command.eq(Command.NOP),
            self.close_all.eq(wants & self.idle),
            Assert(waited <= LATEST, "what was chosen is done in time"),
        ]
        with m.If(wants & self.idle):
            m.d.sync += [wants.eq(0), waited.eq(0)]
        with m.Elif(wants):
            m.d.sync += waited.eq(waited + 1)
        with m.Elif(free(m, 1, "want")):
            m.d.sync += wants.eq(1)
        return m


class Endings(Requests):
    """With :class:`Impatient`."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.controller(m)
        return m


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the chip be up after one refresh."""
    monkeypatch.setattr(Keeper, "POWER_UP_REFRESHES", 1)


@pytest.fixture
def up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the chip be up from the start."""
    monkeypatch.setattr(sdram, "Keeper", NoKeeper)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("soon")
def test_no_rule_of_the_chip_is_broken(holds: Prove) -> None:
    """For all time, from power-up on, with refreshes wanted at any time."""
    holds(ChipProperties(up=False))


@pytest.mark.exhaustive
def test_a_refresh_never_waits_for_long(holds: Prove, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all time; the keeper then refreshes, and its period does not wait for that."""
    monkeypatch.setattr(sdram, "Keeper", Impatient)
    holds(Endings())


@pytest.mark.usefixtures("up")
def test_every_request_is_answered_once(holds: Prove) -> None:
    holds(AnswerProperties(), depth=22)


KEEPER_FAULTS = [
    Fault(Keeper, "wait.eq(cycles.rp - 1)", "wait.eq(0)", "tRP before all banks"),
    Fault(Keeper, "wait.eq(cycles.rfc - 1)", "wait.eq(0)", "tRFC"),
]

CHIP_FAULTS = [
    Fault(Opener, "wait.eq(max(cycles.rcd - 3, 0))", "wait.eq(0)", "tRCD"),
    Fault(Mover, "~self.column", "1", "no burst is cut short"),
    Fault(Mover, "more.eq(~0)", "more.eq(0)", "words are driven while they are written",
          method="_write"),
    Fault(Mover, "words - 1, words + cycles.cl", "words - 1, words",
          "nobody drives against the chip"),
]  # fmt: skip

ANSWER_FAULTS = [
    Fault(Pieces, "piece.last.eq(left <= room)", "piece.last.eq(1)",
          "no confirmation of what was not given"),
    Fault(SDRAMController, "confirm.eq(mover.confirm)", "confirm.eq(mover.column & mover.writes)",
          "no confirmation of what was not given", method="_beats"),
]  # fmt: skip

#: They take twenty cycles and more to be seen, which bounded checking goes through one by one.
SLOW_FAULTS = [
    Fault(Opener, "wait.eq(cycles.rp - 1)", "wait.eq(0)", "tRP"),
    Fault(Banks, "wait.eq(after_open - 1)", "wait.eq(after_open - 5)", "tRAS"),
    Fault(Banks, "Mux(self.write, after_write - 1, after_read - 1)", "after_read - 1", "tWR"),
]


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("fault", KEEPER_FAULTS, ids=str)
def test_faults_of_the_keeper_are_found(finds: Prove, fault: Fault) -> None:
    finds(fault, ChipProperties(up=False), depth=16)


@pytest.mark.usefixtures("up")
@pytest.mark.parametrize("fault", CHIP_FAULTS, ids=str)
def test_faults_at_the_chip_are_found(finds: Prove, fault: Fault) -> None:
    finds(fault, ChipProperties(up=True), depth=20)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("up")
@pytest.mark.parametrize("fault", SLOW_FAULTS, ids=str)
def test_slow_faults_at_the_chip_are_found(finds: Prove, fault: Fault) -> None:
    finds(fault, ChipProperties(up=True), depth=36)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("up")
@pytest.mark.parametrize("fault", ANSWER_FAULTS, ids=str)
def test_faults_of_answers_are_found(finds: Prove, fault: Fault) -> None:
    finds(fault, AnswerProperties(), depth=36)
