"""The boards' facts against amaranth-boards, which others use to bring boards up."""

import pytest
from amaranth_boards import ulx3s

from tilewright.boards import BOARDS, get_board
from tilewright.compiler.isa import EngineConfig
from tilewright.errors import Error

PLATFORMS = {"ulx3s-85f": ulx3s.ULX3S_85F_Platform, "ulx3s-12f": ulx3s.ULX3S_12F_Platform}
# Of each FPGA: 18 kbit block RAMs and 18 x 18 multipliers. Source: Lattice FPGA-DS-02012, ECP5 and
# ECP5-5G family data sheet.
CAPACITY = {"85k": (208, 156), "12k": (32, 28)}


def pins(platform, name, member=None):
    (resource,) = (r for r in platform.resources if (r.name, r.number) == (name, 0))
    ios = resource.ios if member is None else next(s for s in resource.ios if s.name == member).ios
    return ios[0].names


def test_unknown_board_names_those_there_are():
    with pytest.raises(Error, match="no board 'nexys'; there are ulx3s-12f, ulx3s-85f"):
        get_board("nexys")


def test_boards_are_found_by_their_names():
    assert set(BOARDS) == set(PLATFORMS)
    for name, board in BOARDS.items():
        assert board.name == name
        assert get_board(name) is board


@pytest.mark.parametrize("name", PLATFORMS)
def test_pins_and_device_are_those_of_amaranth_boards(name):
    board, platform = get_board(name), PLATFORMS[name]
    assert [board.pins["clk"]] == pins(platform, "clk25")
    # The resource is named from the FPGA: rx is what it receives.
    assert [board.pins["uart_rx"]] == pins(platform, "uart", "rx")
    assert [board.pins["uart_tx"]] == pins(platform, "uart", "tx")
    assert [board.pins["led"]] == pins(platform, "led")
    assert platform.device == f"LFE5U-{board.device[:-1]}F"
    assert board.package.replace("CABGA", "BG") == platform.package
    assert board.speed_grade == int(platform.speed)
    assert board.oscillator_mhz == 25


@pytest.mark.parametrize("name", PLATFORMS)
def test_engine_fits_the_fpga_by_its_buffers_and_multipliers(name):
    board = get_board(name)
    engine: EngineConfig = board.engine
    rams, multipliers = CAPACITY[board.device]
    assert engine.dsp == "ecp5"
    assert engine.multipliers + 2 * engine.requantizer_count <= multipliers
    assert 8 * (engine.act_bytes + engine.weight_bytes + engine.out_bytes) <= rams * 18 * 1024
