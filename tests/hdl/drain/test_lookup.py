"""Activation tables in the Amaranth simulator."""

import random

import pytest
from amaranth.sim import Simulator

from tilewright.hdl.drain.lookup import Lookup


@pytest.mark.parametrize("tables", [1, 3, 8])
def test_bytes_are_replaced_after_the_latency(tables):
    rng = random.Random(tables)
    unit = Lookup(tables=tables)
    content = [rng.randrange(256) for _ in range(256 * tables)]
    given, expected, seen = [], [], []

    async def testbench(ctx):
        for addr, byte in enumerate(content):
            ctx.set(unit.write.valid, 1)
            ctx.set(unit.write.addr, addr)
            ctx.set(unit.write.data, byte)
            await ctx.tick()
        ctx.set(unit.write.valid, 0)
        ctx.set(unit.write.data, 0)
        for _ in range(600):
            byte, table = rng.randrange(256), rng.randrange(tables + 1)
            given.append((byte, table))
            expected.append(content[256 * (table - 1) + byte] if table else byte)
            ctx.set(unit.i, byte)
            ctx.set(unit.table, table)
            seen.append(ctx.get(unit.o))
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert seen[Lookup.LATENCY :] == expected[: -Lookup.LATENCY]
