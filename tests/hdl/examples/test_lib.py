"""Small parts that every room uses."""

from tests.hdl.examples import run
from tilewright.hdl.lib.choose import Choose
from tilewright.hdl.lib.fanout import Fanout, FanoutTree
from tilewright.hdl.lib.loops import LoopCounter, RingStep
from tilewright.hdl.lib.skid import SkidBuffer


def test_skid_buffer():
    dut = SkidBuffer(8)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for item in (1, 2):  # nobody takes: it holds two
            ctx.set(dut.i.payload, item)
            assert ctx.get(dut.i.ready)
            await ctx.tick()
        assert not ctx.get(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.o.ready, 1)
        for item in (1, 2):
            assert ctx.get(dut.o.valid)
            assert ctx.get(dut.o.payload) == item
            await ctx.tick()
        assert not ctx.get(dut.o.valid)

    run(dut, bench)


def test_fanout():
    dut = Fanout(width=4, copies=3, dsp="inferred")

    async def bench(ctx):
        ctx.set(dut.i, 9)
        await ctx.tick().repeat(dut.LATENCY)
        assert [ctx.get(dut.o[k]) for k in range(3)] == [9] * 3

    run(dut, bench)


def test_fanout_tree():
    dut = FanoutTree(width=4, copies=9, dsp="inferred")

    async def bench(ctx):
        ctx.set(dut.i, 5)
        await ctx.tick()
        assert ctx.get(dut.o[8]) == 0, "one cycle is not enough"
        await ctx.tick()
        assert [ctx.get(dut.o[k]) for k in range(9)] == [5] * 9

    run(dut, bench)


def test_choose():
    dut = Choose(width=4, count=3, dsp="inferred")

    async def bench(ctx):
        for k in range(3):
            ctx.set(dut.i[k], 10 + k)
        for k in range(3):
            ctx.set(dut.index, k)
            assert ctx.get(dut.o) == 10 + k

    run(dut, bench)


def test_loop_counter():
    dut = LoopCounter(width=4)

    async def bench(ctx):
        ctx.set(dut.count, 3)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.step, 1)
        lasts = []
        for _ in range(6):  # twice round
            lasts.append(ctx.get(dut.last))
            await ctx.tick()
        assert lasts == [0, 0, 1, 0, 0, 1]

    run(dut, bench)


def test_ring_step():
    dut = RingStep(width=4)

    async def bench(ctx):
        ctx.set(dut.ring, 10)
        ctx.set(dut.step, 3)
        await ctx.tick()
        for i in range(10):
            ctx.set(dut.i, i)
            assert ctx.get(dut.o) == (i + 3) % 10

    run(dut, bench)
