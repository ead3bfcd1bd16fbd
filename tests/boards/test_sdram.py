"""A board's SDRAM: its pins, their registers, and the phase of its clock."""

import re
from collections import Counter
from dataclasses import replace

import pytest
from amaranth.hdl import ClockDomain, ClockSignal, Module, Signal
from amaranth.lib import wiring

from tilewright import SDRAM, Error, Target
from tilewright.boards import get_board
from tilewright.boards.families import get_family
from tilewright.boards.pads import SDRAMPads
from tilewright.hdl.verilog import component_rtlil

#: Source: ULX3S's schematics, version 3.1.7.
ULX3S = {
    "clk": "F19", "cke": "F20", "cs_n": "P20", "ras_n": "R20", "cas_n": "T19", "we_n": "T20",
    "ba": "P19 N20", "dqm": "U19 E20",
    "a": "M20 M19 L20 L19 K20 K19 K18 J20 J19 H20 N19 G20 G19",
    "dq": "J16 L18 M18 N18 P18 T18 T17 U20 E19 D20 D19 C20 E18 F18 J18 J17",
}  # fmt: skip


#: Source: Icepi Zero's schematics, version 1.3.
ICEPI_ZERO = {
    "clk": "A3", "cke": "B4", "cs_n": "B12", "ras_n": "A12", "cas_n": "B13", "we_n": "A13",
    "ba": "A11 B11", "dqm": "B14 B3", "a": "B10 A9 B9 A8 B8 A7 B7 A6 B6 A5 A10 B5 A4",
    "dq": "B16 C14 C16 C15 D16 A15 B15 A14 A2 B2 E2 D1 C2 C1 C3 B1",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "pins"),
    [("ulx3s-12f", ULX3S), ("ulx3s-85f", ULX3S), ("icepi-zero", ICEPI_ZERO)],
)
def test_pins_are_those_of_the_schematics(name, pins):
    assert get_board(name).sdram.pins == {pin: tuple(s.split()) for pin, s in pins.items()}


def test_a_chip_whose_masks_are_grounded_has_none():
    board = get_board("colorlight-i9")
    parameters = board.sdram.parameters(clock_mhz=board.clock_mhz, data_width=64)
    assert not parameters.masks
    pads = SDRAMPads(board.sdram, get_family("ecp5"))
    assert "sdram_dqm" not in component_rtlil(pads, "top", pads=pads.ports)
    assert get_board("ulx3s-12f").sdram.parameters(clock_mhz=100.0, data_width=32).masks


def test_the_colorlights_other_chip_has_time_enough():
    """Source: LiteDRAM, litedram/modules.py, M12L64322A."""
    board = get_board("colorlight-i9")
    cycles = board.sdram.parameters(clock_mhz=board.clock_mhz, data_width=64).cycles
    needed = {"rcd": 15, "rp": 15, "wr": 15, "ras": 40, "rc": 55, "rfc": 55, "rrd": 10}
    for name, ns in needed.items():
        assert getattr(cycles, name) * 1000 / board.clock_mhz >= ns, name


def test_boards_carry_their_memory():
    board = get_board("ulx3s-12f")
    assert board.memory_bytes == 32 << 20
    assert Target.from_board("ulx3s-12f").memory == SDRAM("IS42S16160G-7", board.clock_mhz, 2)
    assert get_board("icebreaker").memory_bytes == 128 << 10


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"chip": "IS42S16160"}, "chip must be one of"),
        ({"pins": {}}, "has 13 pins a, not 0"),
        ({"clock_phase": 360.0}, "clock_phase must be in 0..360"),
        ({"chip": "EM638325-6"}, "has 11 pins a, not 13"),
    ],
)
def test_rejects_a_memory_that_does_not_exist(fields, message):
    with pytest.raises(Error, match=message):
        replace(get_board("ulx3s-12f").sdram, **fields)


def test_rejects_a_bus_or_a_clock_that_does_not_fit():
    board = get_board("ulx3s-12f")
    with pytest.raises(Error, match="clock_mhz must be"):
        replace(board, clock_mhz=150.0)
    with pytest.raises(Error, match="pins must be sites, another for each port"):
        replace(board, pins=board.pins | {"led": "F19"})


def test_every_pin_but_constants_has_its_registers_in_its_pad():
    board = get_board("ulx3s-12f")
    pads = SDRAMPads(board.sdram, get_family("ecp5"))
    text = component_rtlil(pads, "top", pads=pads.ports)
    cells = Counter(re.findall(r"^  cell \\([A-Z]\w+) ", text, re.MULTILINE))
    data, low = 16, 2 + 13 + 2  # dq; ba, a, dqm
    assert cells == {
        "OFS1P3DX": low + data,
        "OFS1P3BX": 3 + data,  # commands idle and pins not driven until there is a clock
        "IFS1P3DX": data,
        "BB": data,
        "OB": low + 3 + 2 + 1,
        "ODDRX1F": 1,
    }


class Clocks(wiring.Component):
    """A board's PLL alone."""

    def __init__(self, board):
        self._board = board
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.domains.sdram = ClockDomain(reset_less=True)
        family = get_family(self._board.family)
        family.pll(m, self._board, Signal(), ClockSignal(), Signal(), ClockSignal("sdram"))
        return m


def test_a_clock_that_is_no_multiple_closes_the_loop_by_another_output():
    board = replace(get_board("ulx3s-12f"), clock_mhz=775 / 7)
    text = component_rtlil(Clocks(board), "top")
    values = dict(re.findall(r"parameter \\(CLK\w+|FEEDBK_PATH) (?:signed )?(\S+)", text))
    assert values["FEEDBK_PATH"] == '"CLKOS2"'
    names = ("I", "FB", "OP", "OS", "OS2")
    assert [values[f"CLK{name}_DIV"] for name in names] == ["1", "1", "7", "7", "31"]
    connected = dict(re.findall(r"connect \\(CLK\w+) (\S+)", text))
    assert connected["CLKFB"] == connected["CLKOS2"] != connected["CLKOP"]


@pytest.mark.parametrize(("phase", "eighths"), [(180.0, 20), (90.0, 10), (0.0, 0)])
def test_the_chip_s_clock_is_as_late_as_the_board_says(phase, eighths):
    board = replace(get_board("ulx3s-12f"), clock_mhz=112.5)
    text = component_rtlil(
        Clocks(replace(board, sdram=replace(board.sdram, clock_phase=phase))), "top"
    )
    values = dict(re.findall(r"parameter \\(CLKO\w+) (?:signed )?(\d+)", text))
    # The PLL's own clock runs five times as fast: an eighth of its period is 9 degrees.
    assert values["CLKOP_DIV"] == values["CLKOS_DIV"] == "5"
    behind = 8 * (int(values["CLKOS_CPHASE"]) - int(values["CLKOP_CPHASE"]))
    assert behind + int(values["CLKOS_FPHASE"]) == eighths
