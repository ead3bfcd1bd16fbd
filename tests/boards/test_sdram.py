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


@pytest.mark.parametrize("name", ["ulx3s-12f", "ulx3s-85f"])
def test_pins_are_those_of_the_schematics(name):
    assert get_board(name).sdram.pins == {pin: tuple(s.split()) for pin, s in ULX3S.items()}


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


@pytest.mark.parametrize(("phase", "eighths"), [(180.0, 20), (90.0, 10), (0.0, 0)])
def test_the_chip_s_clock_is_as_late_as_the_board_says(phase, eighths):
    board = get_board("ulx3s-12f")
    text = component_rtlil(
        Clocks(replace(board, sdram=replace(board.sdram, clock_phase=phase))), "top"
    )
    values = dict(re.findall(r"parameter \\(CLKO\w+) (?:signed )?(\d+)", text))
    # The PLL's own clock runs five times as fast: an eighth of its period is 9 degrees.
    assert values["CLKOP_DIV"] == values["CLKOS_DIV"] == "5"
    behind = 8 * (int(values["CLKOS_CPHASE"]) - int(values["CLKOP_CPHASE"]))
    assert behind + int(values["CLKOS_FPHASE"]) == eighths
