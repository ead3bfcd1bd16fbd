"""Tilewright: quantized PyTorch networks to bit-exact convolution accelerators on FPGAs.

Public names are imported when they are first asked for: PyTorch, Brevitas and Amaranth take
seconds, and a program is loaded and simulated without the first two.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tilewright.api.advise import advise as advise
    from tilewright.api.build import generate_verilog as generate_verilog
    from tilewright.api.build import synthesize as synthesize
    from tilewright.api.compile import compile as compile
    from tilewright.api.compile_graph import compile_graph as compile_graph
    from tilewright.api.estimate import Estimate as Estimate
    from tilewright.api.estimate import estimate as estimate
    from tilewright.api.evaluate import Evaluation as Evaluation
    from tilewright.api.evaluate import evaluate as evaluate
    from tilewright.api.explore import explore as explore
    from tilewright.api.group_sizes import group_sizes as group_sizes
    from tilewright.api.hosted import HostedResult as HostedResult
    from tilewright.api.read import read_onnx as read_onnx
    from tilewright.api.read import read_tflite as read_tflite
    from tilewright.api.report import report as report
    from tilewright.api.result import Result as Result
    from tilewright.api.simulate import simulate as simulate
    from tilewright.api.verify import Verification as Verification
    from tilewright.api.verify import verify as verify
    from tilewright.device import Device as Device
    from tilewright.device import connect as connect
    from tilewright.device import flash as flash
    from tilewright.errors import Error as Error
    from tilewright.errors import UnsupportedError as UnsupportedError
    from tilewright.exploration.points import Exploration as Exploration
    from tilewright.exploration.space import Space as Space
    from tilewright.integration import Integration as Integration
    from tilewright.integration import write_integration as write_integration
    from tilewright.isa import EngineConfig as EngineConfig
    from tilewright.program import HostedProgram as HostedProgram
    from tilewright.program import Program as Program
    from tilewright.program.loading import load as load
    from tilewright.quantization import FloatNetwork as FloatNetwork
    from tilewright.quantization import LayerAccuracy as LayerAccuracy
    from tilewright.quantization import QuantizationReport as QuantizationReport
    from tilewright.quantization import Quantized as Quantized
    from tilewright.quantization import QuantizedModel as QuantizedModel
    from tilewright.quantization import quantize as quantize
    from tilewright.quantization import quantize_with_report as quantize_with_report
    from tilewright.sim.timing import SDRAM as SDRAM
    from tilewright.sim.timing import LargeMemory as LargeMemory
    from tilewright.sim.timing import MemoryTiming as MemoryTiming
    from tilewright.target import Target as Target

# The same to Python: a public name, and the module that has it (tests/test_startup.py compares).
_MODULES = {
    "Device": "device",
    "EngineConfig": "isa",
    "Error": "errors",
    "HostedResult": "api.hosted",
    "Estimate": "api.estimate",
    "Evaluation": "api.evaluate",
    "Exploration": "exploration.points",
    "FloatNetwork": "quantization",
    "Integration": "integration",
    "LargeMemory": "sim.timing",
    "LayerAccuracy": "quantization",
    "MemoryTiming": "sim.timing",
    "SDRAM": "sim.timing",
    "HostedProgram": "program",
    "Program": "program",
    "QuantizationReport": "quantization",
    "Quantized": "quantization",
    "QuantizedModel": "quantization",
    "Result": "api.result",
    "Space": "exploration.space",
    "Target": "target",
    "UnsupportedError": "errors",
    "Verification": "api.verify",
    "advise": "api.advise",
    "compile": "api.compile",
    "compile_graph": "api.compile_graph",
    "connect": "device",
    "estimate": "api.estimate",
    "evaluate": "api.evaluate",
    "explore": "api.explore",
    "flash": "device",
    "load": "program.loading",
    "generate_verilog": "api.build",
    "group_sizes": "api.group_sizes",
    "quantize": "quantization",
    "quantize_with_report": "quantization",
    "read_onnx": "api.read",
    "read_tflite": "api.read",
    "report": "api.report",
    "simulate": "api.simulate",
    "synthesize": "api.build",
    "verify": "api.verify",
    "write_integration": "integration",
}
_PACKAGES = ("boards", "compiler", "hdl", "isa", "nn", "sim")

__all__ = sorted(_MODULES)

if not TYPE_CHECKING:  # to a type checker, a name that is not above is an error

    def __getattr__(name: str) -> object:
        if name in _PACKAGES:
            return import_module(f"{__name__}.{name}")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULES, *_PACKAGES})
