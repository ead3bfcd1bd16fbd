"""The RTL executor: the engine's own Verilog, compiled, on a memory model that checks the bus.

Files, in the order in which an engine passes through them:

``tools``    the programs that a build needs, and what to say when one is missing
``runtime``  Verilator's own sources, compiled once
``build``    Verilog and the C++ bench to a shared library, cached
``library``  the bench's functions as Python sees them
``checkpoint`` the state of a run in a file, from which it goes on
``waves``    waveforms as FST
``session``  a run of a program: registers, status, counters, the trace of every command
``engine``   an engine's RTL, compiled, and its sessions
``board``    a board's system, compiled, at the bits of its serial line
``harness/`` the benches in C++: clock, AXI4 memory or chip, register port or line, trace recorder
"""

from tilewright.sim.rtl.board import SimulatedBoard
from tilewright.sim.rtl.build import build
from tilewright.sim.rtl.checkpoint import Checkpoint
from tilewright.sim.rtl.engine import RtlEngine
from tilewright.sim.rtl.session import RtlRun, RtlSession
from tilewright.sim.rtl.tools import RtlError

__all__ = ["Checkpoint", "RtlEngine", "RtlError", "RtlRun", "RtlSession", "SimulatedBoard", "build"]
