"""Components under cocotb: from Amaranth to a finished simulation."""

import os
import sys
from pathlib import Path

from amaranth.back import verilog
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

import tilewright.hdl.verilog  # noqa: F401  (tells Amaranth where Yosys is)
from tilewright.hdl.axi import ports
from tilewright.sim.rtl.tools import environment

ROOT = Path(__file__).parents[2]


def simulate(
    component, module, directory, monkeypatch, *, package="tests.hdl", models=(), **variables
):
    """Run the cocotb tests of ``module`` on a component; every one must pass.

    ``models`` are Verilog files of the primitives that the component instantiates; ``variables``
    go to the environment.
    """
    source = directory / "dut.v"
    source.write_text(verilog.convert(component, name="dut", ports=ports(component)))
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    runner = get_runner("verilator")
    runner.build(
        sources=[source, *models],
        hdl_toplevel="dut",
        build_dir=directory / "build",
        build_args=["-Wno-fatal", "-Wno-lint"],
    )
    results = runner.test(
        hdl_toplevel="dut",
        test_module=f"{package}.{module}",
        test_dir=directory,
        extra_env={name: str(value) for name, value in variables.items()},
    )
    tests, failures = get_results(results)
    assert tests > 0
    assert failures == 0
