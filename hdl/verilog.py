"""Verilog and RTLIL of an engine, cached by all that they depend on; of any component."""

import gc
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

from amaranth.back import rtlil
from amaranth.hdl import IOPort
from amaranth.lib import wiring

import tilewright.isa
from tilewright.cache import cached_text, digest, digest_of_sources
from tilewright.hdl.bus.axi import ports
from tilewright.hdl.engine import Engine
from tilewright.hdl.families import get_family
from tilewright.hdl.memory.engine import SDRAMEngine
from tilewright.hdl.memory.late import LatePins
from tilewright.hdl.memory.parameters import SDRAMParameters
from tilewright.hdl.yosys import run_yosys
from tilewright.isa import EngineConfig
from tilewright.registry import source_of

__all__ = [
    "DEPENDS_ON",
    "TOP",
    "component_rtlil",
    "component_verilog",
    "engine_rtlil",
    "engine_verilog",
    "sdram_engine_verilog",
]

TOP = "tilewright_engine"

#: What hardware depends on besides its parameters. Read when the code that it stands for is
#: imported: a file that is edited later does not change what runs.
DEPENDS_ON = (
    digest_of_sources(Path(__file__).parent, Path(tilewright.isa.__file__).parent),
    version("amaranth"),
    version("pyosys"),
)
# For people who read the netlist; Verilog is for other tools.
_ATTRIBUTES = " ".join(
    f"-remove {name}"
    for name in ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
)


def engine_verilog(config: EngineConfig) -> str:
    """Return the engine as Verilog-2005, top module ``TOP``, with AXI port names as is customary.

    Ports: ``clk``, ``rst`` (synchronous, high), ``m_axi_*``, ``s_axil_*``, ``irq``, ``trace_*``.
    """
    return cached_text("engine", _key(config), "v", lambda: _verilog(engine_rtlil(config)))


def sdram_engine_verilog(config: EngineConfig, parameters: SDRAMParameters) -> str:
    """Return an engine with a controller of SDRAM as Verilog-2005, top module ``TOP``.

    For simulation: the registers in the pads are there.

    Ports: as of :func:`engine_verilog`, but ``sdram_*`` and ``ready`` instead of ``m_axi_*``.
    """

    def make() -> str:
        engine = LatePins(SDRAMEngine(config, parameters), parameters.pad_latency)
        return component_verilog(engine, TOP)

    return cached_text("sdram", digest([repr((config, parameters)), *DEPENDS_ON]), "v", make)


def engine_rtlil(config: EngineConfig) -> str:
    """Return the engine as RTLIL, for Yosys; see docs/toolchain.md on why not Verilog."""
    return cached_text("engine", _key(config), "il", lambda: component_rtlil(Engine(config), TOP))


def _key(config: EngineConfig) -> str:
    return digest([repr(config), source_of(get_family(config.dsp)), *DEPENDS_ON])


def component_rtlil(
    component: wiring.Component, top: str, *, pads: Mapping[str, IOPort] = MappingProxyType({})
) -> str:
    """Return a component as RTLIL, top module ``top``; not cached.

    ``pads`` are pins besides its members, by name.
    """
    both_ways = {name: (pad, None) for name, pad in pads.items()}
    with _no_collection():
        return rtlil.convert(component, name=top, ports=ports(component) | both_ways)


def component_verilog(component: wiring.Component, top: str) -> str:
    """Return a component as Verilog-2005, top module ``top``; not cached."""
    return _verilog(component_rtlil(component, top))


def _verilog(text: str) -> str:
    """Turn RTLIL into Verilog, as Amaranth's own back end does it."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "design.il").write_text(text)
        passes = ["read_rtlil design.il", "proc -nomux -norom", "memory_collect"]
        passes += [f"attrmap {_ATTRIBUTES}", f"attrmap -modattr {_ATTRIBUTES}"]
        run_yosys([*passes, "write_verilog -norename design.v"], directory)
        return (directory / "design.v").read_text()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collect no garbage: an engine is millions of objects, all in use until the end.

    Looking through them again and again takes as long as the work itself.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
