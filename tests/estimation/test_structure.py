"""Block RAMs and multipliers, from the configuration, are those of real syntheses."""

import json
from pathlib import Path

import pytest

from tilewright.boards.families import get_family
from tilewright.estimation.figures import Figure
from tilewright.estimation.resources import resources_of
from tilewright.hdl.engine import Engine
from tilewright.hdl.verilog import component_rtlil
from tilewright.hdl.yosys import run_yosys
from tilewright.isa import EngineConfig

RECORDS = Path(__file__).parents[2] / "benchmarks" / "results" / "resources.json"
FAMILIES = {
    family: of["engines"]
    for family, of in json.loads(RECORDS.read_text())["families"].items()
    if of["engines"]
}


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_and_multipliers_are_those_of_every_synthesis(family):
    names = get_family(family).cells
    for record in FAMILIES[family]:
        cells = resources_of(EngineConfig.from_fields(record["config"])).cells
        for kind in (names.block, names.multiplier):
            assert cells[kind] == Figure.exact(record["cells"][kind], "cells", "structure"), record


@pytest.mark.slow
@pytest.mark.synth
def test_blocks_and_multipliers_are_those_of_an_engine_of_today(tmp_path):
    """Records may be of earlier hardware; as far as memories and multipliers, Yosys is quick."""
    config = EngineConfig(
        rows=2, cols=3, requantizers=1, act_depth=128, weight_depth=256, out_depth=64,
        bus_width=32, queue_depth=8, tables=1, dsp="ecp5",
    )  # fmt: skip
    (tmp_path / "engine.il").write_text(component_rtlil(Engine(config), "top"))
    steps = ["read_rtlil engine.il", "synth_ecp5 -top top -run begin:map_ffs"]
    run_yosys([*steps, "tee -o stat.json stat -json"], tmp_path)
    text = (tmp_path / "stat.json").read_text()
    found = json.loads(text[text.index("{") : text.rindex("}") + 1])["design"]["num_cells_by_type"]
    cells = resources_of(config).cells
    for kind in ("DP16KD", "MULT18X18D"):
        assert cells[kind].value == found[kind]
