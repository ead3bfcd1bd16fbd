"""A short example of a component each, in Amaranth's simulator; run one by its name.

python -m pytest tests/hdl/examples -k word_buffer
"""

from amaranth.sim import Simulator


def run(component, bench):
    """Simulate a component under a testbench, with a clock."""
    simulator = Simulator(component)
    simulator.add_clock(1e-6, if_exists=True)
    simulator.add_testbench(bench)
    simulator.run()
