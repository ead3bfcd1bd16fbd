"""ULX3S, by Radiona: Lattice ECP5 with a USB serial port; two sizes of FPGA, several engines."""

from dataclasses import replace

from amaranth_boards.ulx3s import ULX3S_12F_Platform, ULX3S_85F_Platform

from tilewright.boards.board import Board
from tilewright.isa import EngineConfig

__all__ = ["BOARDS", "ULX3S_12F", "ULX3S_85F", "ULX3S_85F_TFLITE"]

#: Boards have this chip, MT48LC16M16A2 or W9825G6KH: its times are the longest of the three.
CHIP = "IS42S16160G-7"

ULX3S_85F = Board.from_platform(
    ULX3S_85F_Platform,
    name="ulx3s-85f",
    family="ecp5",
    clock_mhz=106.25,  # which nextpnr reaches: docs/synthesis.md
    host_link="USB serial (FT231X)",
    baud=3_000_000,
    loader="ulx3s",
    memory="32 MiB SDRAM",
    chip=CHIP,
    engine=EngineConfig(
        rows=16,
        cols=7,
        act_depth=1024,
        weight_depth=8192,
        out_depth=1024,
        tables=8,
        shared_words=True,
        bus_width=64,
        dsp="ecp5",
    ),
)

#: For TFLite's files, to the element: 16 requantizers of 31 bits would take 64 multipliers of 156.
ULX3S_85F_TFLITE = replace(
    ULX3S_85F,
    name="ulx3s-85f-tflite",
    clock_mhz=95.0,
    engine=replace(ULX3S_85F.engine, requantizers=8, multiplier_width=31, rounding="double"),
)

ULX3S_12F = Board.from_platform(
    ULX3S_12F_Platform,
    name="ulx3s-12f",
    family="ecp5",
    clock_mhz=100.0,
    host_link="USB serial (FT231X)",
    baud=3_000_000,
    loader="ulx3s",
    memory="32 MiB SDRAM",
    chip=CHIP,
    # Of the FPGA's 24,288 look-up tables and 56 block RAMs, Lattice sells 12,000 and 32.
    engine=EngineConfig(
        rows=4,
        cols=4,
        requantizers=2,
        act_depth=1024,
        weight_depth=4096,
        out_depth=256,
        tables=1,
        shared_words=True,
        bus_width=32,
        queue_depth=8,
        burst_beats=16,
        outstanding=2,
        dsp="ecp5",
    ),
)

BOARDS = (ULX3S_12F, ULX3S_85F, ULX3S_85F_TFLITE)
