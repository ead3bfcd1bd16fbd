"""The whole engine under cocotb, with cocotbext-axi as an independent memory and master."""

import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

import tilewright as tw
from tilewright.compiler.frontend import float64_outputs
from tilewright.hdl.verilog import TOP, engine_verilog
from tilewright.sim.rtl.tools import environment

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
    verilog = tmp_path / f"{TOP}.v"
    verilog.write_text(engine_verilog(ENGINE))

    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    runner = get_runner("verilator")
    runner.build(
        sources=[verilog],
        hdl_toplevel=TOP,
        build_dir=tmp_path / "build",
        build_args=["-Wno-fatal", "-Wno-lint", "-O3", "--x-assign", "fast"],
    )
    results = runner.test(
        hdl_toplevel=TOP,
        test_module="tests.cosim.cocotb_engine",
        test_dir=tmp_path,
        extra_env={"PROGRAM": str(program.save(tmp_path / "net.tw")), "VECTORS": str(vectors)},
    )
    tests, failures = get_results(results)
    assert tests == 1
    assert failures == 0
