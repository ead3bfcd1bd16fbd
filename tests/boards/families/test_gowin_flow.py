"""A small design goes to a bitstream: the PLL, pads of the SDRAM, a multiplier, memories."""

import json
from dataclasses import replace

import pytest
from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Module, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from tilewright.boards import get_board
from tilewright.boards.families.gowin import Gowin
from tilewright.boards.flow.synthesis import (
    FlowError,
    cell_counts,
    synthesis_passes,
    synthesize,
    write_design,
)
from tilewright.boards.flow.tools import Tools
from tilewright.boards.pads import SDRAMPads
from tilewright.hdl.array.multiplier import Multiplier
from tilewright.hdl.verilog import component_rtlil

BOARD = get_board("tang-nano-20k")


class Small(wiring.Component):
    """What a board's system has of each kind, behind the board's pins."""

    def __init__(self):
        self.pads = SDRAMPads(BOARD.sdram, Gowin())
        super().__init__({"clk": In(1), "uart_rx": In(1), "uart_tx": Out(1), "led": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)
        m.domains.sdram = ClockDomain(reset_less=True)
        locked = Signal()
        Gowin().pll(m, BOARD, self.clk, ClockSignal(), locked, ClockSignal("sdram"))
        m.submodules.pads = self.pads
        pins = self.pads.pins
        m.submodules.mul = mul = Multiplier(a_shape=signed(9), b_shape=signed(8), dsp="gowin")
        read_back = Const(0, 36)
        for depth, width in ((512, 36), (16, 8)):
            m.submodules[f"memory_{depth}"] = words = memory.Memory(
                shape=width, depth=depth, init=[]
            )
            write, read = words.write_port(), words.read_port()
            m.d.comb += [write.addr.eq(pins.dq_i), write.en.eq(self.uart_rx), read.en.eq(1)]
            m.d.comb += [write.data.eq(Cat(pins.dq_i, mul.p)), read.addr.eq(mul.p)]
            read_back = read_back ^ read.data
        m.d.sync += pins.dq_o.eq(pins.dq_o ^ read_back)
        m.d.comb += [mul.a.eq(pins.dq_i), mul.b.eq(pins.dq_i[9:])]
        m.d.sync += [pins.a.eq(mul.p), pins.dq_oe.eq(self.uart_rx), pins.we_n.eq(mul.p[0])]
        m.d.comb += [self.uart_tx.eq(pins.dq_o[0]), self.led.eq(locked)]
        return m


@pytest.mark.slow
@pytest.mark.synth
@pytest.mark.exhaustive
def test_small_design_goes_to_a_bitstream(tmp_path):
    top, family = Small(), Gowin()
    write_design(tmp_path, "top.il", component_rtlil(top, "top", pads=top.pads.ports), family)
    tools = Tools(tmp_path, lambda line: None)
    tools.yosys(synthesis_passes("top.il", "top", family))
    cells = cell_counts(tmp_path / "stat.json", family)
    assert (cells["MULT18X18"], cells["BSRAM"], cells["RAM16SDP4"]) == (1, 1, 2)
    fmax = family.route(tools, BOARD, "top.fs")
    assert fmax > 1.2 * BOARD.clock_mhz
    report = json.loads((tmp_path / "report.json").read_text())
    used = {kind: n["used"] for kind, n in report["utilization"].items()}
    pins = sum(len(sites) for sites in BOARD.sdram.pins.values()) + len(BOARD.pins)
    assert used["IOB"] + used["IOBUF"] == pins
    assert (used["rPLL"], used["IOLOGICO"], used["BSRAM"], used["MULT18X18"]) == (1, 1, 1, 1)
    # A line of bits for each frame of a GW2A-18: a header, then the fuses.
    assert len((tmp_path / "top.fs").read_text().splitlines()) > 1000


def test_tools_that_are_not_installed_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(Gowin, "packages", ("amaranth", "not-there"))
    with pytest.raises(FlowError, match=r"gowin needs not-there: pip install 'tilewright\[gowin"):
        synthesize(replace(BOARD.engine), tmp_path, board=BOARD)
