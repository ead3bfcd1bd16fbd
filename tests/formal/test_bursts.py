"""The burst cutter covers every block, and no burst crosses what it must not cross."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring

from tests.formal.blocks import BlockRule
from tests.formal.conftest import Prove
from tests.formal.faults import Fault
from tests.formal.narrow import NarrowConfig
from tests.formal.stable import stable
from tilewright.hdl.bus.bursts import Bursts

#: Bursts of at most 4 beats of a byte; up to 3 runs of up to 3 rows of up to 3 beats.
CONFIG = NarrowConfig(rows=1, bus_width=8, addr_width=5, burst_beats=4)
COUNT_WIDTH = 2


class BurstsProperties(wiring.Component):
    """Any block, any ready and any enable in any cycle."""

    def __init__(self, config: NarrowConfig) -> None:
        self._config = config
        self._bursts = Bursts(config, count_width=COUNT_WIDTH)
        super().__init__(self._bursts.signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bursts = self._bursts
        m.submodules.rule = rule = BlockRule(self._config, count_width=COUNT_WIDTH)
        wiring.connect(m, wiring.flipped(self), self._bursts)
        burst, taken_now = self.o.payload, Signal()
        m.d.comb += [
            Assume(~ResetSignal()),
            taken_now.eq(self.o.valid & self.o.ready),
            rule.block.eq(self.i.payload),
            rule.start.eq(self.i.valid & self.i.ready),
            rule.burst.eq(taken_now),
            rule.address.eq(burst.address),
            rule.len.eq(burst.len),
            Assert(self.idle == ~rule.open, "idle after the last burst of a block"),
            Assert(self.i.ready == self.idle, "a block is taken at once"),
        ]
        stable(m, "o", self.o.valid, self.o.ready, burst.as_value())

        valid, enabled, taken = Signal(), Signal(), Signal()
        m.d.sync += [
            valid.eq(self.o.valid),
            enabled.eq(self.enable),
            taken.eq(taken_now),
        ]

        # Rows of the run that the next burst needs, of which `rows` have been added: a cycle each.
        block = self.i.payload
        needed, rows = Signal(COUNT_WIDTH), Signal(COUNT_WIDTH)
        m.d.comb += needed.eq(
            1 + sum(rule.reach > row * block.row_beats for row in range(1, 1 << COUNT_WIDTH))
        )
        waited = Signal(range(Bursts.NEXT + (1 << COUNT_WIDTH)))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [waited.eq(1), rows.eq(1)]
        with m.Elif(taken_now):
            m.d.sync += [waited.eq(1), rows.eq(Mux(rule.run_ends, 1, needed))]
        with m.Elif(~waited.all()):
            m.d.sync += waited.eq(waited + 1)
        due = waited >= Bursts.NEXT + needed - rows
        stays = valid & ~taken
        m.d.comb += [
            Assert(self.o.valid == (rule.open & (stays | (due & enabled))), "documented cycle"),
        ]
        return m


FAULTS = [
    Fault(Bursts, "whole.eq(have >= room)", "whole.eq(have > room)", "documented cycle"),
    Fault(
        Bursts,
        "Mux(whole, room, have)",
        "Mux(whole, burst_beats, have)",
        "no burst crosses a multiple of its greatest size",
    ),
    Fault(
        Bursts,
        "(have <= room) & last_row",
        "have <= room",
        "idle after the last burst of a block",
    ),
    Fault(Bursts, "with m.If(~whole & ~last_row):", "with m.If(~whole):", "documented cycle"),
    Fault(
        Bursts,
        "burst.len.eq(beats - 1)",
        "burst.len.eq(beats)",
        "no burst crosses a multiple of its greatest size",
    ),
    Fault(Bursts, "room.eq(burst_beats)", "room.eq(room)", "documented cycle"),
    Fault(Bursts, "run.eq(stride_run)", "run.eq(run)", "next address"),
    Fault(
        Bursts,
        "with m.If(groups == 0):",
        "with m.If(groups == 1):",
        "idle after the last burst of a block",
    ),
    Fault(Bursts, "with m.Elif(self.enable):", "with m.Else():", "documented cycle"),
    Fault(
        Bursts,
        "burst.address.eq(address)",
        "burst.address.eq(Mux(self.enable, address, 0))",
        "next address",
    ),
]  # fmt: skip


def test_proof(holds: Prove) -> None:
    holds(BurstsProperties(CONFIG))


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_faults_are_found(finds: Prove, fault: Fault) -> None:
    finds(fault, BurstsProperties(CONFIG))
