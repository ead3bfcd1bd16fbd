"""The folder of an engine for other designs: held to the engine, by tools that others made."""

import re
import subprocess

import pytest
from systemrdl import RDLCompiler

import tilewright as tw
from tests.boards.test_system import small_layer
from tilewright.hdl.bus.axi import ports as ports_of
from tilewright.hdl.engine import Engine
from tilewright.integration.notes import constraints, ports
from tilewright.integration.registers import c_header, register_map, registers_of
from tilewright.isa import ISA_VERSION
from tilewright.isa.registers import IDENTITY, OFFSET, REGISTERS

CONFIG = tw.EngineConfig(
    rows=2, cols=2, act_depth=16, weight_depth=16, out_depth=16, bus_width=32, queue_depth=8,
    burst_beats=4,
)  # fmt: skip
PLAIN = tw.EngineConfig(rows=2, cols=2, counters=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tw.Target(engine=CONFIG, clock_mhz=80.0)
    return tw.write_integration(target, tmp_path_factory.mktemp("folder"))


def elaborated(path):
    compiler = RDLCompiler()
    compiler.compile_file(str(path))
    return compiler.elaborate().top


@pytest.mark.parametrize("config", [CONFIG, PLAIN])
def test_the_register_map_is_that_of_the_engine(config, tmp_path):
    path = tmp_path / "engine.rdl"
    path.write_text(register_map(config))
    registers = {r.inst_name: r for r in elaborated(path).registers()}
    assert set(registers) == {r.name for r in registers_of(config)}
    access = {"RO": (True, False), "WO": (False, True), "RW": (True, True)}
    for register in registers_of(config):
        found = registers[register.name]
        assert found.absolute_address == register.offset
        assert (found.has_sw_readable, found.has_sw_writable) == access[register.access]
        fields = {(f.inst_name, f.low, f.width) for f in found.fields()}
        whole = {("VALUE", 0, 32)}
        assert fields == ({(f.name, f.low, f.width) for f in register.fields} or whole)
    resets = {n: registers[n].fields()[0].get_property("reset") for n in registers}
    constants = {"ID": IDENTITY, "VERSION": ISA_VERSION, "DIGEST": config.digest}
    assert {name: value for name, value in resets.items() if value} == constants


def test_an_engine_without_counters_has_no_watchdog():
    names = {r.name for r in registers_of(PLAIN)}
    assert names == {r.name for r in REGISTERS if r.offset < 0x40} - {"WATCHDOG"}


@pytest.mark.parametrize("config", [CONFIG, PLAIN])
def test_a_c_compiler_puts_each_register_where_it_is(config, tmp_path):
    (tmp_path / "engine.h").write_text(c_header(register_map(config)))
    lines = ['#include "engine.h"', "#include <stddef.h>"]
    lines += [
        f'_Static_assert(offsetof(tilewright_engine_t, {r.name}) == {r.offset}, "{r.name}");'
        for r in registers_of(config)
    ]
    lines += ['_Static_assert(TILEWRIGHT_ENGINE__CONTROL__STOP_bm == 4, "STOP");']
    (tmp_path / "test.c").write_text("\n".join([*lines, ""]))
    subprocess.run(["gcc", "-fsyntax-only", "-Wall", "-Werror", tmp_path / "test.c"], check=True)


def test_the_notes_name_every_port_with_its_width(folder):
    said = folder.notes.read_text()
    found = ports(folder.verilog.read_text())
    engine = Engine(CONFIG)
    engine.elaborate(None)  # what is made and not used is a warning
    expected = {name: len(signal) for name, (signal, _) in ports_of(engine).items()}
    assert {name: width for name, (_, width) in found.items()} == expected | {"clk": 1, "rst": 1}
    for name, (way, width) in found.items():
        assert f"| `{name}` | {way} | {width} |" in said
    assert found["m_axi_arvalid"][0] == "output"
    assert f"0x{CONFIG.digest:08x}" in said


def test_the_clock_is_the_targets(folder):
    assert "-period 12.500 [get_ports clk]" in folder.constraints.read_text()
    assert "-period 10.000" in constraints(tw.Target(engine=CONFIG))


def test_the_notes_program_runs(folder, tmp_path, monkeypatch):
    program = tw.compile_graph(small_layer(CONFIG.multiplier_width)[0], tw.Target(engine=CONFIG))
    program.save(tmp_path / "net.tw")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", folder.notes.read_text(), re.S)
    names = {}
    exec(code, names)
    assert (tmp_path / "net.bin").read_bytes() == program.image.tobytes()
    assert names["count"] == program.boot_count
    assert set(OFFSET) > {"BASE", "PROGRAM", "COUNT"}
