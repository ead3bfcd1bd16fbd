"""Choosers of many sizes side by side."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.families import FAMILIES
from tilewright.hdl.lib.choose import Choose

WIDTH = 5
COUNTS = range(1, 17)
KINDS = tuple(FAMILIES.all())


class Choosers(wiring.Component):
    """One of 1..16 words, chosen in every way.

    Members
    -------
    i : In; as many words as the largest has
    index : In
    <kind>_<count> : Out; the word at ``index`` of the first ``count``
    """

    def __init__(self):
        outputs = {f"{kind}_{count}": Out(WIDTH) for kind in KINDS for count in COUNTS}
        super().__init__({"i": In(WIDTH * COUNTS[-1]), "index": In(4), **outputs})

    def elaborate(self, platform):
        m = Module()
        for kind in KINDS:
            for count in COUNTS:
                m.submodules[f"{kind}_{count}"] = dut = Choose(width=WIDTH, count=count, dsp=kind)
                m.d.comb += [
                    dut.i.eq(self.i),
                    dut.index.eq(self.index),
                    getattr(self, f"{kind}_{count}").eq(dut.o),
                ]
        return m
