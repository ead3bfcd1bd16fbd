"""Components under cocotb: from Amaranth to a finished simulation."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from cocotb_tools.runner import get_runner

from tilewright.hdl.verilog import component_verilog
from tilewright.sim.rtl.runtime import WITHOUT_RUNTIME, runtime_object
from tilewright.sim.rtl.tools import environment

ROOT = Path(__file__).parents[2]
# Only the ports are public: a design takes a third of the time to build. It is one file, since the
# headers that several would share take longer to precompile than to read.
PUBLIC_ARGS = ("-no-public-flat-rw", "--public-depth", "1")
BUILD_ARGS = ("-Wno-fatal", "-Wno-lint", *PUBLIC_ARGS, "--output-split", "0")


def simulate(component, modules, directory, monkeypatch, *, models=(), **variables):
    """Run the cocotb tests of ``modules`` on a component; every one must pass.

    ``models`` are Verilog files of the primitives that the component instantiates; ``variables``
    go to the environment.
    """
    text = component_verilog(component, "dut")
    simulate_verilog(text, "dut", modules, directory, monkeypatch, models=models, **variables)


def simulate_verilog(
    text, top, modules, directory, monkeypatch, *, models=(), optimize="-O0", **variables
):
    """Run the cocotb tests of ``modules`` on a design whose Verilog is at hand.

    ``optimize`` is the C++ compiler's option.
    """
    source = directory / f"{top}.v"
    source.write_text(text)
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    runtime = runtime_object(["--vpi", *BUILD_ARGS, "-CFLAGS", optimize], ())
    flags = (os.environ["MAKEFLAGS"], *WITHOUT_RUNTIME, f"LIBS={runtime}")
    monkeypatch.setenv("MAKEFLAGS", " ".join(flags))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    # The assertions of cocotb's tests are rewritten, but not those of every module in torch.
    monkeypatch.setenv("COCOTB_REWRITE_ASSERTION_FILES", "cocotb_*.py streams.py")
    runner = get_runner("verilator")
    runner.build(
        sources=[source, *models],
        hdl_toplevel=top,
        build_dir=directory / "build",
        build_args=[*BUILD_ARGS, "-CFLAGS", optimize],
    )
    results = directory / "results.xml"
    with suppress(SystemExit):  # the runner's word for tests that failed; they are named below
        runner.test(
            hdl_toplevel=top,
            test_module=modules,
            test_dir=directory,
            results_xml=str(results),
            extra_env={name: str(value) for name, value in variables.items()},
        )
    assert results.exists(), "the simulation ended without results"
    cases = list(ElementTree.parse(results).iter("testcase"))
    assert {case.get("classname") for case in cases} == set(modules)
    failures = [
        f"{case.get('name')}: {outcome.get('message')}"
        for case in cases
        for outcome in (*case.iter("failure"), *case.iter("error"))
    ]
    assert not failures, "\n".join(failures)
