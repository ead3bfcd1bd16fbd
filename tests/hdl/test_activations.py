"""Words that are loaded and two results a cycle all reach the lanes of the activation buffer."""

import random

import pytest

from tests.hdl.examples import run
from tilewright.hdl.buffers.activations import ActivationBuffer
from tilewright.isa import EngineConfig
from tilewright.isa.words import APART


@pytest.mark.parametrize("cols", [4, 5, 7])
def test_loads_find_room_between_pairs_of_results(cols):
    """Results follow one another in lanes, as closely as they may; loads come as fast as ever."""
    rng = random.Random(cols)
    config = EngineConfig(rows=2, cols=cols, requantizers=4, act_depth=256, bus_width=32)
    dut = ActivationBuffer(config)
    wanted = {}

    async def bench(ctx):
        lane, left, used = 0, cols, [0] * cols
        last_load = [-2] * cols
        widths = [w for w in range(APART, 3 * cols) if w % cols == 0 or w % cols >= APART]

        def place(port, lane, low):
            """Write a word that no other one replaces: results below, loads above."""
            ctx.set(port.valid, 1)
            ctx.set(port.lane, lane)
            ctx.set(port.addr, low + used[lane] % 120)
            ctx.set(port.data, word := rng.randrange(1 << 16))
            wanted[lane, low + used[lane] % 120] = word
            used[lane] += 1

        for cycle in range(200):
            for port in (dut.i_drain, dut.i_drain_odd):
                place(port, lane, 0)
                lane, left = lane + 1, left - 1
                if not left:  # the next row begins in the first lane
                    lane, left = 0, rng.choice(widths)
                lane %= cols
            free = [k for k in range(cols) if cycle - last_load[k] >= 2]
            ctx.set(dut.i_load.valid, 0)
            if free:
                chosen = rng.choice(free)
                last_load[chosen] = cycle
                place(dut.i_load, chosen, 128)
            await ctx.tick()
        for port in (dut.i_drain, dut.i_drain_odd, dut.i_load):
            ctx.set(port.valid, 0)
        await ctx.tick().repeat(6)
        for addr in sorted({addr for _, addr in wanted}):
            for at in range(cols):
                ctx.set(dut.addr[at], addr)
            await ctx.tick().repeat(dut.latency(config))
            for at in range(cols):
                if (at, addr) in wanted:
                    assert ctx.get(dut.o[at]) == wanted[at, addr], (at, addr)

    run(dut, bench)
