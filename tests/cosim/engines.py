"""The engine configurations of the cosimulation tests: few, since each is compiled."""

from tilewright.isa import EngineConfig

ENGINES = {
    "4x2-small": EngineConfig(
        rows=4, cols=2, requantizers=1, act_depth=512, weight_depth=1024, out_depth=256,
        bus_width=32, queue_depth=8, burst_beats=4, outstanding=1, multiplier_width=16,
        prefetch=False, dsp="ice40", addr_width=20, counters=False, early_parameters=False,
        acc_width=24, pipelined=False,
    ),
    "2x2-bus32": EngineConfig(
        rows=2, cols=2, act_depth=1024, weight_depth=4096, out_depth=64, bus_width=32,
        queue_depth=8, burst_beats=16, prefetch=False,
    ),
    "4x4-bus64": EngineConfig(
        rows=4, cols=4, act_depth=512, weight_depth=4096, out_depth=128, bus_width=64,
        queue_depth=16, requantizers=2, burst_beats=8, outstanding=2,
    ),
    "8x7-bus64": EngineConfig(
        rows=8, cols=7, act_depth=256, weight_depth=2048, out_depth=128, bus_width=64,
        queue_depth=16,
    ),
    "8x7-bus32": EngineConfig(
        rows=8, cols=7, act_depth=512, weight_depth=2048, out_depth=128, bus_width=32,
        queue_depth=16, multiplier_width=31, requantizers=2, tables=2,
    ),
    "8x5-bus64-w4": EngineConfig(
        rows=8, cols=5, act_depth=512, weight_depth=4096, out_depth=128, bus_width=64,
        queue_depth=16, weight_bits=4,
    ),
}  # fmt: skip
