"""Colorlight i9 v7.2 on the extension board: Lattice ECP5 with an SDRAM of 32 bits."""

from tilewright.boards.board import Board
from tilewright.boards.family import Part
from tilewright.boards.sdram import BoardSDRAM
from tilewright.isa import EngineConfig

__all__ = ["BOARDS", "COLORLIGHT_I9"]

_SDRAM = {
    "clk": "B9",
    "ras_n": "B10",
    "cas_n": "A9",
    "we_n": "A10",
    "ba": "B11 C8",
    "a": "B13 C14 A16 A17 B16 B15 A14 A13 A12 A11 B12",
    "dq": "B6 A5 A6 A7 C7 B8 B5 A8 D8 D7 E8 D6 C6 D5 E7 C5 "
    "C10 D9 E11 D11 C11 D12 E9 C12 E14 C15 E13 D15 E12 B17 D14 D13",
}

COLORLIGHT_I9 = Board(
    name="colorlight-i9",
    family="ecp5",
    part=Part(device="45k", package="CABGA381", speed_grade=6),
    oscillator_mhz=25.0,
    clock_mhz=106.25,
    pins={"clk": "P3", "uart_tx": "J17", "uart_rx": "H18", "led": "L2"},
    active_low=("led",),
    host_link="USB serial of the extension board (DAPLink)",
    loader="colorlight-i9",
    memory="8 MiB SDRAM, 32 bits",
    # Or ESMT's M12L64322A. The cycles of this one at 106.25 MHz leave that one tRCD, tRP and tWR
    # of 18.8 ns, tRAS of 47 and tRC and tRFC of 65.9; LiteDRAM has 15, 15, 15, 40 and 55 of it, and
    # the data sheet's revision 1.7 a tWR of 12 ns for grade 6. Masks and selection are grounded.
    sdram=BoardSDRAM(
        chip="EM638325-6", pins={pin: tuple(sites.split()) for pin, sites in _SDRAM.items()}
    ),
    engine=EngineConfig(
        rows=8,
        cols=7,
        requantizers=4,
        act_depth=1024,
        weight_depth=4096,
        out_depth=1024,
        tables=4,
        bus_width=64,
        burst_beats=32,
        dsp="ecp5",
    ),
    source="github.com/wuxx/Colorlight-FPGA-Projects, colorlight_i9_v7.2.md; serial line and "
    "polarity of the light: github.com/litex-hub/litex-boards, colorlight_i5.py",
)

BOARDS = (COLORLIGHT_I9,)
