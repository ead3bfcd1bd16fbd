"""ULX3S, by Radiona: Lattice ECP5 with a USB serial port; two sizes of FPGA."""

from tilewright.boards.board import Board
from tilewright.isa import EngineConfig

SOURCE = "amaranth-boards, amaranth_boards/ulx3s.py"
PINS = {"clk": "G2", "uart_tx": "L4", "uart_rx": "M1", "led": "B2"}

ULX3S_85F = Board(
    name="ulx3s-85f",
    device="85k",
    package="CABGA381",
    speed_grade=6,
    oscillator_mhz=25.0,
    clock_mhz=112.5,  # nextpnr reaches 114.7: docs/synthesis.md
    pins=PINS,
    host_link="USB serial, 3 Mbaud at most (FT231X)",
    memory="32 MiB SDRAM",
    engine=EngineConfig(
        rows=16,
        cols=7,
        act_depth=1024,
        weight_depth=4096,
        out_depth=1024,
        bus_width=64,
        dsp="ecp5",
    ),
    source=SOURCE,
)

ULX3S_12F = Board(
    name="ulx3s-12f",
    device="12k",
    package="CABGA381",
    speed_grade=6,
    oscillator_mhz=25.0,
    clock_mhz=112.5,  # nextpnr reaches 117.9: docs/synthesis.md
    pins=PINS,
    host_link="USB serial, 3 Mbaud at most (FT231X)",
    memory="32 MiB SDRAM",
    engine=EngineConfig(
        rows=4,
        cols=3,
        requantizers=1,
        act_depth=512,
        weight_depth=512,
        out_depth=256,
        bus_width=32,
        queue_depth=8,
        burst_beats=16,
        outstanding=2,
        dsp="ecp5",
    ),
    source=SOURCE,
)
