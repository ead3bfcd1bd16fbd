"""The boards' facts, and what a board must be."""

from dataclasses import replace

import pytest

from tilewright.boards import BOARDS, get_board
from tilewright.boards.family import Part
from tilewright.boards.usb import BoardUSB
from tilewright.errors import Error
from tilewright.estimation.structure import multipliers as multipliers_of
from tilewright.isa import EngineConfig

ULX3S = {"clk": "G2", "uart_tx": "L4", "uart_rx": "M1", "led": "B2"}
# FPGA as nextpnr names it, oscillator in MHz, pins. Source: the boards' schematics.
FACTS = {
    "ulx3s-85f": (Part(device="85k", package="CABGA381", speed_grade=6), 25.0, ULX3S),
    "ulx3s-12f": (Part(device="12k", package="CABGA381", speed_grade=6), 25.0, ULX3S),
    "icebreaker": (
        Part(device="up5k", package="sg48"),
        12.0,
        {"clk": "35", "uart_tx": "9", "uart_rx": "6", "led": "37"},
    ),
    "icepi-zero": (
        Part(device="25k", package="CABGA256", speed_grade=6),
        50.0,
        {"clk": "M1", "uart_tx": "K15", "uart_rx": "K16", "led": "E13"},
    ),
    "colorlight-i9": (
        Part(device="45k", package="CABGA381", speed_grade=6),
        25.0,
        {"clk": "P3", "uart_tx": "J17", "uart_rx": "H18", "led": "L2"},
    ),
    "tang-nano-20k": (
        Part(device="GW2AR-LV18", package="QN88", speed_grade=8),
        27.0,
        {"clk": "4", "uart_tx": "69", "uart_rx": "70", "led": "15"},
    ),
}
FACTS["ulx3s-85f-tflite"] = FACTS["ulx3s-85f"]
# amaranth-boards does not have them.
OWN = ("colorlight-i9", "tang-nano-20k")
ACTIVE_LOW = ("icebreaker", "colorlight-i9", "tang-nano-20k")
# Of each FPGA: kbits of a block RAM, block RAMs, 18 x 18 or 16 x 16 multipliers. Source: Lattice
# FPGA-DS-02012, ECP5 and ECP5-5G family data sheet; FPGA-DS-02008, iCE40 UltraPlus data sheet;
# Gowin DS226, GW2AR series data sheet.
CAPACITY = {
    "85k": (18, 208, 156),
    "45k": (18, 108, 72),
    "25k": (18, 56, 28),
    "12k": (18, 32, 28),
    "up5k": (4, 30, 8),
    "GW2AR-LV18": (18, 46, 48),
}


def test_unknown_board_names_those_there_are():
    there = ", ".join(sorted(FACTS))
    with pytest.raises(Error, match=f"no board 'nexys'; there are {there}$"):
        get_board("nexys")


def test_boards_are_found_by_their_names():
    assert set(BOARDS.all()) == set(FACTS)
    for name, board in BOARDS.all().items():
        assert board.name == name
        assert get_board(name) is board


@pytest.mark.parametrize("name", FACTS)
def test_facts_of_amaranth_boards_are_those_of_the_schematics(name):
    board = get_board(name)
    assert (board.part, board.oscillator_mhz, board.pins) == FACTS[name]
    assert board.active_low == (("led",) if name in ACTIVE_LOW else ())
    if name not in OWN:
        assert board.source.startswith("amaranth-boards, amaranth_boards.")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "ULX3S"}, "name must be lower-case"),
        ({"clock_mhz": 0.0}, "clock_mhz must be above 0"),
        ({"clock_mhz": 111.0}, "no PLL makes 111.0 MHz from 25.0 MHz"),
        ({"pins": {"clk": "G2"}}, "pins must be of clk, uart_tx, uart_rx, led"),
        ({"pins": dict.fromkeys(ULX3S, "G2")}, "pins must be sites, another for each port"),
        ({"active_low": ("reset",)}, "active_low must be of clk"),
        ({"source": ""}, "source must be said"),
        ({"link": "spi"}, "link must be 'serial' or 'usb', not 'spi'"),
        ({"link": "usb", "usb": None}, "link must be 'serial', not 'usb'"),
        ({"family": "gowin"}, "dsp of its engine must be 'gowin' or 'inferred', not 'ecp5'"),
        (
            {"family": "cyclone", "engine": EngineConfig()},
            "no family of FPGAs 'cyclone'; there are ecp5, gowin, ice40",
        ),
        ({"part": Part(device="up5k", package="sg48")}, "device must be one of 12k, 25k, 45k, 85k"),
        (
            {"part": Part(device="12k", package="CABGA381", speed_grade=5)},
            "speed_grade must be one of 6, 7, 8, not 5",
        ),
    ],
)
def test_board_that_cannot_be_is_refused(fields, message):
    with pytest.raises(Error, match=message):
        replace(get_board("ulx3s-12f"), **fields)


@pytest.mark.parametrize("name", ["ulx3s-12f", "ulx3s-85f"])
def test_ulx3s_has_a_connector_at_the_fpga(name):
    """US2, by the schematics."""
    usb = get_board(name).usb
    assert usb is not None
    assert usb.ports() == {"usb_d_p": "D15", "usb_d_n": "E15", "usb_pull_up": "B12"}
    assert get_board(name).link == "serial"


def test_usb_needs_a_known_pll():
    connector = BoardUSB(d_p="1", d_n="2", pull_up="3")
    with pytest.raises(Error, match="icebreaker: link must be 'serial', not 'usb'"):
        replace(get_board("icebreaker"), usb=connector, link="usb")


def test_clock_needs_a_known_pll():
    with pytest.raises(Error, match="icebreaker: clock_mhz must be that of the oscillator, 12"):
        replace(get_board("icebreaker"), clock_mhz=24.0)


@pytest.mark.parametrize("name", FACTS)
def test_engine_fits_the_fpga_by_its_buffers_and_multipliers(name):
    board = get_board(name)
    engine: EngineConfig = board.engine
    kbits, rams, multipliers = CAPACITY[board.part.device]
    assert multipliers_of(engine) <= multipliers
    assert 8 * (engine.act_bytes + engine.weight_bytes + engine.out_bytes) <= rams * kbits * 1024
