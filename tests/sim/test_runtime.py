"""Verilator's own sources are compiled once for all engines."""

import pytest

from tests.sim.test_rtl_harness import verilog
from tilewright.isa import EngineConfig
from tilewright.sim.rtl import RtlError, build, runtime
from tilewright.sim.rtl.runtime import runtime_object


def test_two_engines_share_one_runtime(tmp_path):
    for width in (32, 64):
        build(EngineConfig(bus_width=width), verilog=verilog(width // 8), cache_dir=tmp_path)
    assert len(list(tmp_path.glob("rtl-*.so"))) == 2
    assert len(list(tmp_path.glob("runtime-*.o"))) == 1


@pytest.mark.exhaustive
def test_what_the_runtime_lacks_is_an_error_of_the_build(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "_MAKEFILE", runtime._MAKEFILE.replace("$^", "verilated_save.o"))
    with pytest.raises(RtlError, match="undefined reference"):
        build(EngineConfig(bus_width=64), verilog=verilog(8), cache_dir=tmp_path)
    assert not list(tmp_path.glob("rtl-*.so"))


def test_other_arguments_are_another_runtime(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "run_tool", lambda command, work: (work / "runtime.o").touch())
    arguments = ([], []), (["--vpi"], []), ([], ["A=1"]), ([], ["A=2"]), (["A=1"], [])
    assert len({runtime_object(*both, folder=tmp_path) for both in arguments}) == len(arguments)
