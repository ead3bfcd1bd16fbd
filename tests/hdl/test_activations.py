"""Words that are loaded and results of every cycle all reach the lanes of the activation buffer."""

import random

import pytest

from tests.hdl.examples import run
from tilewright.hdl.buffers.activations import ActivationBuffer
from tilewright.isa import EngineConfig
from tilewright.isa.words import can_pair, has_room


def lanes_of_rows(rng, cols, widths):
    """Yield the lanes of results of rows that share words, and begin in the first one."""
    while True:
        yield from (pixel % cols for pixel in range(rng.choice(widths)))


def lanes_of_tiles(cols):
    """Yield the lanes of results of tiles of two columns: a word of each column in turn."""
    while True:
        yield from ((column + 2 * j) % cols for column in range(2) for j in range(cols))


@pytest.mark.parametrize(
    ("cols", "words", "widths"),
    [(3, 1, (4, 7)), (5, 1, (2, 5, 6, 11)), (4, 2, (4, 8)), (5, 2, (4, 5, 9)), (7, 2, (4, 7, 11))],
)
def test_loads_find_room_between_results(cols, words, widths):
    config = EngineConfig(
        rows=2, cols=cols, requantizers=2 * words, act_depth=256, bus_width=32, shared_words=True
    )
    assert all(can_pair(config, 1, w) if words == 2 else has_room(config, 0, w) for w in widths)
    rng = random.Random(cols)
    all_arrive(config, lanes_of_rows(rng, cols, widths), rng)


@pytest.mark.parametrize("cols", [3, 5])
def test_loads_find_room_between_tiles(cols):
    config = EngineConfig(rows=2, cols=cols, act_depth=256, bus_width=32, partial_depth=64)
    all_arrive(config, lanes_of_tiles(cols), random.Random(cols))


def all_arrive(config, lanes, rng):
    """Write results into lanes, in every cycle, and load words as fast as ever beside them."""
    cols, words = config.cols, config.result_words
    dut = ActivationBuffer(config)
    drains = (dut.i_drain, dut.i_drain_odd) if words == 2 else (dut.i_drain,)
    wanted = {}

    async def bench(ctx):
        used, last_load = [0] * cols, [-2] * cols

        def place(port, lane, low):
            """Write a word that no other one replaces: results below, loads above."""
            ctx.set(port.valid, 1)
            ctx.set(port.lane, lane)
            ctx.set(port.addr, low + used[lane] % 120)
            ctx.set(port.data, word := rng.randrange(1 << 16))
            wanted[lane, low + used[lane] % 120] = word
            used[lane] += 1

        for cycle in range(200):
            for port in drains:
                place(port, next(lanes), 0)
            free = [k for k in range(cols) if cycle - last_load[k] >= 2]
            ctx.set(dut.i_load.valid, 0)
            if free:
                chosen = rng.choice(free)
                last_load[chosen] = cycle
                place(dut.i_load, chosen, 128)
            await ctx.tick()
        for port in (*drains, dut.i_load):
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
