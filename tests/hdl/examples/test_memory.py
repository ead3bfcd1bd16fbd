"""Memories behind AXI4, through the host's port."""

from tests.hdl.examples import run
from tilewright.hdl.memory.block import OnChipMemory


def test_block():
    dut = OnChipMemory(data_width=64, size_bytes=256)

    async def bench(ctx):
        ctx.set(dut.addr, 12)
        ctx.set(dut.data, 0xCAFE)
        ctx.set(dut.write, 1)
        await ctx.tick()
        ctx.set(dut.write, 0)
        await ctx.tick().repeat(dut.HOST_LATENCY + 1)
        assert ctx.get(dut.o) == 0xCAFE
        ctx.set(dut.addr, 12 + 256)  # addresses wrap
        await ctx.tick().repeat(dut.HOST_LATENCY)
        assert ctx.get(dut.o) == 0xCAFE

    run(dut, bench)
