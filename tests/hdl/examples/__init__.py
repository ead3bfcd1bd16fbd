"""A short example of a component each, in Amaranth's simulator; run one by its name.

python -m pytest tests/hdl/examples -k word_buffer
"""

from amaranth.sim import Simulator

#: No example takes more.
CYCLES = 2000


def run(component, bench):
    """Simulate a component under a testbench, with a clock."""

    async def deadline(ctx):
        await ctx.delay(CYCLES * 1e-6)
        raise AssertionError(f"the example waits for something for {CYCLES} cycles")

    simulator = Simulator(component)
    simulator.add_clock(1e-6, if_exists=True)
    simulator.add_testbench(bench)
    simulator.add_testbench(deadline, background=True)
    simulator.run()
