"""The boards' facts against amaranth-boards, which others use to bring boards up."""

import pytest
from amaranth_boards import icebreaker, ulx3s

from tilewright.api.estimate import multiplier_count
from tilewright.boards import BOARDS, get_board
from tilewright.errors import Error
from tilewright.isa import EngineConfig

PLATFORMS = {
    "ulx3s-85f": ulx3s.ULX3S_85F_Platform,
    "ulx3s-12f": ulx3s.ULX3S_12F_Platform,
    "icebreaker": icebreaker.ICEBreakerPlatform,
}
# Of each FPGA: kbits of a block RAM, block RAMs, 18 x 18 or 16 x 16 multipliers. Source: Lattice
# FPGA-DS-02012, ECP5 and ECP5-5G family data sheet; FPGA-DS-02008, iCE40 UltraPlus data sheet.
CAPACITY = {"85k": (18, 208, 156), "12k": (18, 32, 28), "up5k": (4, 30, 8)}


def pins(platform, name, member=None):
    (resource,) = (r for r in platform.resources if (r.name, r.number) == (name, 0))
    ios = resource.ios if member is None else next(s for s in resource.ios if s.name == member).ios
    return ios[0].names


def test_unknown_board_names_those_there_are():
    with pytest.raises(Error, match="no board 'nexys'; there are icebreaker, ulx3s-12f"):
        get_board("nexys")


def test_boards_are_found_by_their_names():
    assert set(BOARDS) == set(PLATFORMS)
    for name, board in BOARDS.items():
        assert board.name == name
        assert get_board(name) is board


@pytest.mark.parametrize("name", PLATFORMS)
def test_pins_and_device_are_those_of_amaranth_boards(name):
    board, platform = get_board(name), PLATFORMS[name]
    assert [board.pins["clk"]] == pins(platform, platform.default_clk)
    # The resource is named from the FPGA: rx is what it receives.
    assert [board.pins["uart_rx"]] == pins(platform, "uart", "rx")
    assert [board.pins["uart_tx"]] == pins(platform, "uart", "tx")
    (led,) = (r for r in platform.resources if (r.name, r.number) == ("led", name == "icebreaker"))
    assert [board.pins["led"]] == led.ios[0].names
    assert ("led" in board.active_low) == led.ios[0].invert
    if board.engine.dsp == "ice40":
        assert platform.device == f"iCE40{board.device.upper()}"
        assert platform.package == board.package.upper()
    else:
        assert platform.device == f"LFE5U-{board.device[:-1]}F"
        assert board.package.replace("CABGA", "BG") == platform.package
        assert board.speed_grade == int(platform.speed)
    (clock,) = (r for r in platform.resources if r.name == platform.default_clk)
    assert board.oscillator_mhz * 1e6 == clock.clock.frequency


@pytest.mark.parametrize("name", PLATFORMS)
def test_engine_fits_the_fpga_by_its_buffers_and_multipliers(name):
    board = get_board(name)
    engine: EngineConfig = board.engine
    kbits, rams, multipliers = CAPACITY[board.device]
    assert engine.dsp in ("ecp5", "ice40")
    assert multiplier_count(engine) <= multipliers
    assert 8 * (engine.act_bytes + engine.weight_bytes + engine.out_bytes) <= rams * kbits * 1024
