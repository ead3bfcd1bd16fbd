"""The DSP primitive computes what the inferred multiplier does."""

import pytest
from amaranth.hdl import signed, unsigned

from tests.hdl.bench import simulate
from tests.hdl.multipliers import SideBySide
from tilewright.hdl.multiplier import Multiplier
from tilewright.sim.rtl.build import HARNESS


@pytest.mark.slow
def test_primitive_and_inferred_products_are_python_products(tmp_path, monkeypatch):
    models = [HARNESS / "mult18x18d.v"]
    simulate(SideBySide(), "cocotb_multiplier", tmp_path, monkeypatch, models=models)


@pytest.mark.parametrize("shapes", [(signed(19), signed(8)), (unsigned(8), unsigned(19))])
def test_operand_wider_than_the_primitive_is_refused(shapes):
    with pytest.raises(ValueError, match="at most 18 bits wide"):
        Multiplier(a_shape=shapes[0], b_shape=shapes[1], dsp="ecp5")
