"""Commands in hardware."""

from tests.hdl.examples import run
from tilewright.hdl.commands.queue import CommandQueue
from tilewright.isa import EngineConfig, Unit


def test_command_queue():
    config = EngineConfig(rows=2, cols=2, bus_width=32, queue_depth=8)
    dut = CommandQueue(config, Unit.STORE)

    async def bench(ctx):
        for beat in range(dut.words):  # a command, visible when it is whole
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.data, 0x100 + beat)
            ctx.set(dut.i.commit, beat == dut.words - 1)
            ctx.set(dut.i.count, 1)
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.i.commit, 0)
        await ctx.tick().repeat(dut.words + dut.refill(config))
        assert ctx.get(dut.o.valid)
        bits = ctx.get(dut.o.payload)
        words = [bits >> 32 * k & 0xFFFFFFFF for k in range(dut.words)]
        assert words == [0x100 + k for k in range(dut.words)]

    run(dut, bench)
