"""iCEBreaker, by 1BitSquared: Lattice iCE40UP5K with a USB serial port."""

from tilewright.boards.board import Board
from tilewright.isa import EngineConfig

ICEBREAKER = Board(
    name="icebreaker",
    device="up5k",
    package="sg48",
    speed_grade=None,
    oscillator_mhz=12.0,
    clock_mhz=12.0,
    pins={"clk": "35", "uart_tx": "9", "uart_rx": "6", "led": "37"},
    active_low=("led",),
    host_link="USB serial (FT2232H)",
    memory="128 KiB of the FPGA's own",
    engine=EngineConfig(
        rows=4,
        cols=2,
        requantizers=1,
        acc_width=22,
        multiplier_width=12,
        maximum=False,
        act_depth=128,
        weight_depth=256,
        out_depth=64,
        bus_width=32,
        addr_width=17,
        queue_depth=8,
        count_width=8,
        early_parameters=False,
        prefetch=False,
        pipelined=False,
        counters=False,
        burst_beats=1,
        outstanding=1,
        dsp="ice40",
    ),
    source="amaranth-boards, amaranth_boards/icebreaker.py",
)
