"""The generated Verilog under ``verilator --lint-only -Wall``."""

import subprocess
from dataclasses import replace

import pytest

from tests.cosim.engines import ENGINES
from tilewright.hdl.families import get_family
from tilewright.hdl.verilog import TOP, engine_verilog
from tilewright.sim.rtl.tools import environment

# What is not wrong in Verilog that Amaranth and Yosys wrote, and why.
WAIVERS = {
    "CASEINCOMPLETE": "Amaranth gives every target a default before the case statement",
    "DECLFILENAME": "the engine is one file of many modules",
    "PROCASSINIT": "registers have an initial value and a reset, by design",
    "UNUSEDSIGNAL": "results are computed whole and then cut: carries, upper bits of addresses",
    "WIDTHEXPAND": "Yosys writes operators without padding; Verilog's own extension is meant",
    "WIDTHTRUNC": "likewise: assignments keep the low bits",
}


@pytest.mark.parametrize(
    ("engine", "dsp", "options"),
    [
        ("4x4-bus64", "inferred", {}),
        (
            "4x4-bus64",
            "ecp5",
            {
                "data_width": 13,
                "kernel_width": 12,
                "partial_depth": 64,
                "transform_at_load": True,
            },
        ),
        ("8x5-bus64-w4", "ecp5", {"offset_depth": 256, "shared_words": True}),
        (
            "4x4-bus64",
            "ecp5",
            {"requantizers": 8, "shared_words": True, "double_reads": True, "folds": 1},
        ),
        ("4x2-small", "ice40", {}),
        (
            "4x4-bus64",
            "ecp5",
            {"wide_maps": True, "shared_words": True, "stacked_images": True},
        ),
        ("8x7-bus64", "ecp5", {"split_columns": True, "shared_words": True}),
    ],
)
def test_verilog_is_clean_but_for_waivers(tmp_path, engine, dsp, options):
    source = tmp_path / f"{TOP}.v"
    source.write_text(engine_verilog(replace(ENGINES[engine], dsp=dsp, **options)))
    model = get_family(dsp).model
    models = [] if model is None else [model]
    result = subprocess.run(
        [
            "verilator",
            "--lint-only",
            "-Wall",
            "--default-language",
            "1364-2005",
            "--top-module",
            TOP,
            *(f"-Wno-{name}" for name in WAIVERS),
            *(["-Wno-UNUSEDPARAM"] if models else []),  # the primitive's, which the model ignores
            str(source),
            *map(str, models),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "%Warning" not in result.stderr
