"""The whole engine under cocotb, with cocotbext-axi as an independent memory and master."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import tilewright as tw
from tests.hdl.bench import simulate_verilog
from tilewright.compiler.importers.brevitas import float64_outputs
from tilewright.hdl.verilog import TOP, engine_verilog

ROOT = Path(__file__).parents[2]
ENGINE = tw.EngineConfig(
    rows=8, cols=4, act_depth=256, weight_depth=2048, out_depth=128, bus_width=64, queue_depth=16,
    requantizers=4, burst_beats=16,
)  # fmt: skip


@pytest.mark.slow
def test_demo_network_under_cocotb(tmp_path, monkeypatch):
    digits = runpy.run_path(str(ROOT / "examples" / "digits.py"))
    net = digits["trained"]()
    images = digits["digits"]()[2][:2]
    program = tw.compile(net, images[:1], tw.Target(engine=ENGINE))
    vectors = tmp_path / "vectors.npz"
    expected = float64_outputs(net, images, program.graph)[0]
    np.savez(vectors, images=images.numpy()[:, None], expected=expected)
    simulate_verilog(
        engine_verilog(ENGINE),
        TOP,
        ["tests.cosim.cocotb_engine"],
        tmp_path,
        monkeypatch,
        optimize="-O1",
        PROGRAM=program.save(tmp_path / "net.tw"),
        VECTORS=vectors,
    )
