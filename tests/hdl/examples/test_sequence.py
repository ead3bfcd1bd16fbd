"""What a compute command does next."""

from tests.hdl.examples import run
from tilewright.hdl.sequence.passes import PassSequencer
from tilewright.isa import EngineConfig


def test_pass_sequencer():
    """Two kernel groups of two rows of one strip are four passes."""
    dut = PassSequencer(EngineConfig(rows=2, cols=2))

    async def bench(ctx):
        for name, value in {"n_kg": 2, "n_oy": 2, "n_ox": 1, "out_w": 2, "n_cg": 1}.items():
            ctx.set(dut.command[name], value)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.o.ready, 1)
        passes = 0
        for _ in range(40):
            passes += ctx.get(dut.o.valid)
            await ctx.tick()
        assert passes == 4

    run(dut, bench)
