"""Icepi Zero, by Icy Electronics: Lattice ECP5 in the form of a Raspberry Pi Zero."""

from amaranth_boards.icepi_zero import IcepiZero1_3Platform

from tilewright.boards.board import Board
from tilewright.isa import EngineConfig

__all__ = ["BOARDS", "ICEPI_ZERO"]

ICEPI_ZERO = Board.from_platform(
    IcepiZero1_3Platform,
    name="icepi-zero",
    family="ecp5",
    clock_mhz=100.0,
    host_link="USB serial",
    loader="icepi-zero",
    memory="32 MiB SDRAM",
    chip="W9825G6KH-6",
    engine=EngineConfig(
        rows=8,
        cols=3,
        requantizers=2,
        act_depth=2048,
        weight_depth=4096,
        out_depth=512,
        tables=1,
        shared_words=True,
        bus_width=32,
        queue_depth=8,
        burst_beats=16,
        outstanding=2,
        dsp="ecp5",
    ),
)

BOARDS = (ICEPI_ZERO,)
