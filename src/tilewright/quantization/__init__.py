"""Post-training quantization: from a float module and sample inputs to a network of integers.

In the order in which data passes through: ``observe`` (values over the calibration images),
``readers`` and ``equalize`` (channels of sizes that suit one grid), ``ranges`` (scales from
values), ``grids`` (which tensor is on which grid), ``wide`` (which have more than 8 bits),
``weights`` (weights and biases as integers), ``correction`` (of biases, for the mean error),
``model`` (what comes back),
``network`` (a float network from a file),
``storage`` (its files), ``report`` (signal-to-noise ratio by layer), ``ptq`` (all of it in one
call).
"""

from tilewright.quantization.model import QuantizedModel
from tilewright.quantization.network import FloatNetwork
from tilewright.quantization.ptq import Quantized, quantize, quantize_with_report
from tilewright.quantization.report import LayerAccuracy, QuantizationReport

__all__ = [
    "FloatNetwork",
    "LayerAccuracy",
    "QuantizationReport",
    "Quantized",
    "QuantizedModel",
    "quantize",
    "quantize_with_report",
]
