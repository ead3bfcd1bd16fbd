"""A small engine for the ULX3S-12F: what an option costs shows where little else is."""

from __future__ import annotations

from tilewright.isa import EngineConfig

__all__ = ["SMALL_ENGINE"]

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
