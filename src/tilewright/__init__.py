"""Tilewright: quantized PyTorch networks to bit-exact convolution accelerators on FPGAs."""

from tilewright.compiler.isa import EngineConfig
from tilewright.errors import Error, UnsupportedError
from tilewright.executors import Result, Verification, simulate, verify
from tilewright.program import Program, compile, compile_graph
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

__all__ = [
    "EngineConfig",
    "Error",
    "MemoryTiming",
    "Program",
    "Result",
    "Target",
    "UnsupportedError",
    "Verification",
    "compile",
    "compile_graph",
    "simulate",
    "verify",
]
