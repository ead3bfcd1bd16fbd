"""Multiplexers of primitives choose as others do, and never join a table's output with itself."""

import re

from tests.hdl.bench import simulate
from tests.hdl.lib.choosers import COUNTS, Choosers
from tilewright.hdl.families import FAMILIES
from tilewright.hdl.lib.choose import Choose
from tilewright.hdl.verilog import component_rtlil


def test_primitives_choose_like_plain_logic(tmp_path, monkeypatch):
    models = [family.model for family in FAMILIES.all().values() if family.model]
    simulate(Choosers(), ["tests.hdl.lib.cocotb_choose"], tmp_path, monkeypatch, models=models)


def test_every_table_is_another_one():
    """A multiplexer joins two tables; of two equal ones, a synthesizer could leave one."""
    for count in COUNTS:
        choose = Choose(width=1, count=count, dsp="ecp5")
        text = component_rtlil(choose, "top")
        tables = re.findall(r"cell \\LUT4.*?connect \\A (.*?)\n.*?connect \\B (.*?)\n", text, re.S)
        assert len(tables) == len(set(tables)), count
        assert bool(tables) == (count > 1)
