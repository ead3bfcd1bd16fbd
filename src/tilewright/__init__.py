"""Tilewright: quantized PyTorch networks to bit-exact convolution accelerators on FPGAs."""

from tilewright.build import generate_verilog, synthesize
from tilewright.errors import Error, UnsupportedError
from tilewright.estimates import Estimate, estimate
from tilewright.executors import Result, Verification, simulate, verify
from tilewright.isa import EngineConfig
from tilewright.program import Program, compile, compile_graph
from tilewright.quantization import (
    LayerAccuracy,
    QuantizationReport,
    Quantized,
    quantize,
    quantize_with_report,
)
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

__all__ = [
    "EngineConfig",
    "Error",
    "Estimate",
    "LayerAccuracy",
    "MemoryTiming",
    "Program",
    "QuantizationReport",
    "Quantized",
    "Result",
    "Target",
    "UnsupportedError",
    "Verification",
    "compile",
    "compile_graph",
    "estimate",
    "generate_verilog",
    "quantize",
    "quantize_with_report",
    "simulate",
    "synthesize",
    "verify",
]
