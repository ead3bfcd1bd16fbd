"""iCEBreaker, by 1BitSquared: Lattice iCE40UP5K with a USB serial port."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from tilewright.boards.board import Board
from tilewright.isa import EngineConfig

__all__ = ["BOARDS", "ICEBREAKER"]

ICEBREAKER = Board.from_platform(
    ICEBreakerPlatform,
    name="icebreaker",
    family="ice40",
    clock_mhz=12.0,
    led=1,
    host_link="USB serial (FT2232H)",
    loader="ice40_generic",
    memory="128 KiB of the FPGA's own",
    engine=EngineConfig(
        rows=2,
        cols=2,
        requantizers=1,
        acc_width=24,
        tables=1,
        multiplier_width=12,
        products=False,
        act_depth=128,
        weight_depth=256,
        out_depth=64,
        bus_width=32,
        addr_width=17,
        queue_depth=8,
        count_width=12,
        early_parameters=False,
        prefetch=False,
        pipelined=False,
        counters=False,
        burst_beats=1,
        outstanding=1,
        dsp="ice40",
    ),
)

BOARDS = (ICEBREAKER,)
