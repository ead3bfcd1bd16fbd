"""Memory to buffers."""

from tests.hdl.examples import run
from tilewright.hdl.load.unpack import Unpack
from tilewright.isa import EngineConfig


def test_unpack():
    """A beat of 64 bits is two words of four bytes."""
    dut = Unpack(EngineConfig(rows=4, cols=2, bus_width=64))

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, 0x8877665544332211)
        words = []
        for _ in range(4):
            taken = ctx.get(dut.i.valid) and ctx.get(dut.i.ready)
            await ctx.tick()
            if taken:
                ctx.set(dut.i.valid, 0)
            if ctx.get(dut.valid):
                words.append(ctx.get(dut.word))
        assert words == [0x44332211, 0x88776655]

    run(dut, bench)
