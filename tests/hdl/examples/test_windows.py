"""From buffers to the windows that the array multiplies."""

from tests.hdl.examples import run
from tilewright.hdl.windows.bilinear import Bilinear, FabricMultiplier


def test_fabric_multiplier():
    dut = FabricMultiplier(a_width=9, b_width=8)

    async def bench(ctx):
        ctx.set(dut.a, -200)
        ctx.set(dut.b, 255)
        await ctx.tick().repeat(dut.LATENCY)
        assert ctx.get(dut.p) == -200 * 255

    run(dut, bench)


def test_bilinear():
    dut = Bilinear(fraction=4, mask_fraction=4)

    async def bench(ctx):
        # A quarter of the way to the right, half of the way down; the mask lets all through.
        values = {"p_00": 10, "p_01": 50, "p_10": 30, "p_11": 70, "fx": 4, "fy": 8, "mask": 16}
        for name, value in values.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick().repeat(dut.LATENCY)
        assert ctx.get(dut.o) == (20 + 40) // 2

    run(dut, bench)
