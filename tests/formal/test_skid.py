"""The skid buffer keeps a stream's items and their order, at full throughput."""

import pytest
from amaranth.hdl import Assert, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tests.formal.conftest import Prove
from tests.formal.faults import Fault
from tests.formal.order import Watch
from tilewright.hdl.lib.skid import SkidBuffer

WIDTH = 2  # it does not look at what it holds


class SkidProperties(wiring.Component):
    """Any reset, any valid and any ready in any cycle."""

    def __init__(self) -> None:
        signature = stream.Signature(WIDTH)
        super().__init__({"i": In(signature), "o": Out(signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = SkidBuffer(WIDTH)
        m.submodules.watch = watch = Watch(WIDTH, capacity=2)
        wiring.connect(m, wiring.flipped(self.i), buffer.i)
        wiring.connect(m, buffer.o, wiring.flipped(self.o))
        m.d.comb += [
            watch.push.eq(self.i.valid & self.i.ready),
            watch.pop.eq(self.o.valid & self.o.ready),
            watch.i.eq(self.i.payload),
            watch.o.eq(self.o.payload),
            Assert(self.o.valid == (watch.count != 0), "an item is offered in the next cycle"),
            Assert(self.i.ready == (watch.count != 2), "an item is taken if there is room"),
        ]
        return m


FAULTS = [
    Fault(SkidBuffer, "self.i.ready.eq(~full)", "self.i.ready.eq(1)",
          "an item is taken if there is room"),
    Fault(SkidBuffer, "item.eq(second)", "item.eq(self.i.payload)", "order"),
    Fault(SkidBuffer, "full.eq(1)", "full.eq(0)", "an item is taken if there is room"),
    Fault(SkidBuffer, "self.i.valid | full)", "self.i.valid)",
          "an item is offered in the next cycle"),
]  # fmt: skip


def test_proof(holds: Prove) -> None:
    holds(SkidProperties())


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_faults_are_found(finds: Prove, fault: Fault) -> None:
    finds(fault, SkidProperties())
