"""The array: multipliers and accumulators."""

from amaranth.hdl import signed

from tests.hdl.examples import run
from tilewright.hdl.array import multiplier
from tilewright.hdl.array.mac import MacArray
from tilewright.hdl.array.multiplier import (
    DualMultiplier,
    Multiplier,
    PairMultiplier,
    WideMultiplier,
)
from tilewright.hdl.families.generic import Family
from tilewright.isa import EngineConfig


def test_multiplier():
    dut = Multiplier(a_shape=signed(9), b_shape=signed(8), dsp="inferred")

    async def bench(ctx):
        ctx.set(dut.a, -128)
        ctx.set(dut.b, 127)
        await ctx.tick().repeat(dut.LATENCY)
        assert ctx.get(dut.p) == -128 * 127

    run(dut, bench)


class TwoProducts(Family):
    """A made-up family, whose multiplier of two products is no primitive and can be simulated."""

    def multiply_two(self, m, a_in, b_in, p_out, place):
        for a, p in zip(a_in, p_out, strict=True):
            m.d.sync += p.eq(a * b_in)


def test_dual_multiplier(monkeypatch):
    monkeypatch.setattr(multiplier, "get_family", lambda dsp: TwoProducts())
    dut = DualMultiplier(dsp="made up")

    async def bench(ctx):
        for place, pixel in enumerate((255, -128)):
            ctx.set(dut.a[place], pixel)
        ctx.set(dut.b, -3)
        await ctx.tick().repeat(dut.LATENCY)
        assert [ctx.get(dut.p[place]) for place in range(2)] == [255 * -3, -128 * -3]

    run(dut, bench)


def test_pair_multiplier():
    dut = PairMultiplier(dsp="inferred")

    async def bench(ctx):
        for port, value in ((dut.a, 200), (dut.low, -8), (dut.high, 7)):
            ctx.set(port, value)
        await ctx.tick().repeat(dut.LATENCY)
        assert (ctx.get(dut.p_low), ctx.get(dut.p_high)) == (200 * -8, 200 * 7)

    run(dut, bench)


def test_wide_multiplier():
    dut = WideMultiplier(a_width=32, b_width=31, dsp="inferred", pipelined=True)

    async def bench(ctx):
        ctx.set(dut.a, -(2**31))
        ctx.set(dut.b, 2**31 - 1)
        await ctx.tick().repeat(dut.latency(True))
        assert ctx.get(dut.p) == -(2**31) * (2**31 - 1)

    run(dut, bench)


def test_mac_array():
    config = EngineConfig(rows=2, cols=2)
    dut, ahead = MacArray(config), MacArray.ahead(config)

    async def bench(ctx):
        steps = [(3, 10), (-2, 7), (5, 1)]  # of row 1: a weight, and column 0's pixel
        for cycle in range(len(steps) + ahead + dut.LATENCY):
            if cycle < len(steps):
                ctx.set(dut.w[1], steps[cycle][0])
            step = cycle - ahead
            ctx.set(dut.valid, 0 <= step < len(steps))
            ctx.set(dut.first, step == 0)
            if 0 <= step < len(steps):
                ctx.set(dut.x[1][0], steps[step][1])
            await ctx.tick()
        assert ctx.get(dut.acc[1][0]) == 3 * 10 - 2 * 7 + 5 * 1

    run(dut, bench)
