"""The GW2AR's facts: names, memories, its PLL, the registers beside its pads."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from tests.boards.test_sdram import Clocks
from tilewright.boards import get_board
from tilewright.boards.families.gowin import Dividers, Gowin, pll_dividers
from tilewright.boards.family import Part
from tilewright.boards.pads import SDRAMPads
from tilewright.errors import Error
from tilewright.hdl.verilog import component_rtlil

BOARD = get_board("tang-nano-20k")


def test_part_is_of_gowin_s_number():
    part = Gowin().part("GW2AR-LV18", "QN88", "C8/I7")
    assert part == Part(device="GW2AR-LV18", package="QN88", speed_grade=8)
    with pytest.raises(Error, match="LFE5U-85F of speed 6 is no GW2AR: it must be GW2AR-LV18"):
        Gowin().part("LFE5U-85F", "BG381", "6")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"part": replace(BOARD.part, device="GW2A-LV18")}, "device must be one of GW2AR-LV18"),
        ({"part": replace(BOARD.part, package="EQ144")}, "package must be one of QN88"),
        ({"part": replace(BOARD.part, speed_grade=7)}, "speed_grade must be one of 8, not 7"),
        ({"clock_mhz": 67.0}, "no PLL makes 67.0 MHz from 27.0 MHz"),
        (
            {"sdram": replace(BOARD.sdram, clock_phase=100.0)},
            "clock_phase must be a multiple of 22.5 degrees, not 100",
        ),
    ],
)
def test_board_that_cannot_be_is_refused(fields, message):
    with pytest.raises(Error, match=f"tang-nano-20k: {message}|{message}"):
        replace(BOARD, **fields)


@pytest.mark.parametrize(
    ("clock", "reference", "feedback", "divider"),
    [(54.0, 1, 2, 16), (67.5, 2, 5, 8), (60.75, 4, 9, 16), (81.0, 1, 3, 8)],
)
def test_pll_makes_the_clock_from_the_oscillator(clock, reference, feedback, divider):
    assert pll_dividers(27.0, clock) == Dividers(
        reference=reference, feedback=feedback, divider=divider
    )
    assert 500 <= clock * divider <= 1250
    assert 27.0 * feedback / reference == clock


@pytest.mark.parametrize(("phase", "steps"), [(270.0, "1100"), (180.0, "1000"), (22.5, "0001")])
def test_the_chip_s_clock_is_as_late_as_the_board_says(phase, steps):
    sdram = replace(BOARD.sdram, clock_phase=phase)
    text = component_rtlil(Clocks(replace(BOARD, clock_mhz=67.5, sdram=sdram)), "top")
    values = dict(re.findall(r"parameter \\(\w+_SEL) (?:signed )?(\S+)", text))
    assert values["PSDA_SEL"] == f'"{steps}"'
    # They count from zero.
    assert (values["IDIV_SEL"], values["FBDIV_SEL"], values["ODIV_SEL"]) == ("1", "4", "8")


def test_every_pin_but_constants_has_registers_of_its_own():
    pads = SDRAMPads(BOARD.sdram, Gowin())
    text = component_rtlil(pads, "top", pads=pads.ports)
    cells = Counter(re.findall(r"^  cell \\([A-Z]\w+) ", text, re.MULTILINE))
    data, low = 32, 2 + 11 + 4  # dq; ba, a, dqm
    assert cells == {
        "DFF": low + 2 * data,
        "DFFS": 3 + data,  # commands idle and pins not driven until there is a clock
        "IOBUF": data,
        "OBUF": low + 3 + 2 + 1,
        "ODDR": 1,
    }


@pytest.mark.parametrize(
    ("depth", "width", "cells"),
    [
        (2048, 9, {"BSRAM": 1}),
        (2048, 32, {"BSRAM": 4}),
        (512, 36, {"BSRAM": 1}),
        (64, 64, {"BSRAM": 2}),
        (16, 27, {"RAM16SDP4": 7}),
    ],
)
def test_memories_are_those_that_yosys_makes(depth, width, cells):
    assert Gowin().memory_cells(depth, width) == cells


def test_cells_are_counted_by_what_they_are():
    kinds = {"LUT2": "LUT4", "MUX2_LUT6": "MUX2", "DFFRE": "DFF", "SDPX9B": "BSRAM"}
    kinds |= {"RAM16SDP2": "RAM16SDP4", "ALU": "ALU", "MULT18X18": "MULT18X18"}
    assert {kind: Gowin().resource(kind) for kind in kinds} == kinds
