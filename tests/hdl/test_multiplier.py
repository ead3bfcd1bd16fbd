"""The DSP primitive computes what the inferred multiplier does."""

import pytest
from amaranth.hdl import signed, unsigned
from amaranth.sim import Simulator

from tests.hdl.bench import simulate
from tests.hdl.multipliers import SideBySide
from tilewright.hdl.multiplier import Multiplier, PairMultiplier
from tilewright.sim.rtl.build import HARNESS


@pytest.mark.slow
def test_primitive_and_inferred_products_are_python_products(tmp_path, monkeypatch):
    models = [HARNESS / "mult18x18d.v"]
    simulate(SideBySide(), ["tests.hdl.cocotb_multiplier"], tmp_path, monkeypatch, models=models)


@pytest.mark.parametrize("shapes", [(signed(19), signed(8)), (unsigned(8), unsigned(19))])
def test_operand_wider_than_the_primitive_is_refused(shapes):
    with pytest.raises(ValueError, match="at most 18 bits wide"):
        Multiplier(a_shape=shapes[0], b_shape=shapes[1], dsp="ecp5")


def test_one_multiplier_has_both_products_of_a_pair():
    dut = PairMultiplier(dsp="inferred")
    cases = [
        (a, low, high)
        for a in (-128, -127, -64, -1, 0, 1, 100, 127, 128, 254, 255)
        for low in range(-8, 8)
        for high in range(-8, 8)
    ]

    async def bench(ctx):
        for index in range(len(cases) + dut.LATENCY):
            if index >= dut.LATENCY:
                a, low, high = cases[index - dut.LATENCY]
                products = ctx.get(dut.p_low), ctx.get(dut.p_high)
                assert products == (a * low, a * high), (a, low, high)
            if index < len(cases):
                for port, value in zip((dut.a, dut.low, dut.high), cases[index], strict=True):
                    ctx.set(port, value)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
