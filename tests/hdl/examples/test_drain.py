"""From accumulators to results."""

from tests.hdl.examples import run
from tilewright.hdl.drain.lookup import Lookup
from tilewright.hdl.drain.requantize import Requantize


def test_requantize():
    dut = Requantize(acc_width=32, multiplier_width=18, dsp="inferred", pipelined=True)

    async def bench(ctx):
        # (1000 + 24) * 3 / 2**6 = 48, and 10 more for the zero point.
        values = {"acc": 1000, "bias": 24, "multiplier": 3, "shift": 6}
        values |= {"zero_point": 10, "qmin": -128, "qmax": 127}
        for name, value in values.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick().repeat(dut.latency(True))
        assert ctx.get(dut.o) == 58
        ctx.set(dut.qmax, 40)  # a result above it is cut
        await ctx.tick().repeat(dut.latency(True))
        assert ctx.get(dut.o) == 40

    run(dut, bench)


def test_lookup():
    dut = Lookup(tables=1)

    async def bench(ctx):
        ctx.set(dut.write.valid, 1)
        ctx.set(dut.write.addr, 7)
        ctx.set(dut.write.data, 99)
        await ctx.tick()
        ctx.set(dut.write.valid, 0)
        ctx.set(dut.i, 7)
        for table, byte in ((0, 7), (1, 99)):  # table 0 is none
            ctx.set(dut.table, table)
            await ctx.tick().repeat(dut.LATENCY + 1)
            assert ctx.get(dut.o) == byte

    run(dut, bench)
