"""A small engine for the ULX3S-12F: what an option costs shows where little else is."""

from __future__ import annotations

from dataclasses import replace

from tilewright.boards import get_board
from tilewright.isa import EngineConfig

__all__ = ["SMALL_BOARD", "SMALL_ENGINE"]

SMALL_ENGINE = EngineConfig(
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
)
#: The ULX3S-12F with it, at a clock that its whole system reaches.
SMALL_BOARD = replace(get_board("ulx3s-12f"), engine=SMALL_ENGINE, clock_mhz=112.5)
