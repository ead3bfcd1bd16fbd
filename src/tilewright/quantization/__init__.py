"""Post-training quantization: from a float module and sample inputs to a module of Brevitas layers.

In the order in which data passes through: ``graph`` (traces the float model and folds its batch
norms), ``quantizers`` (the Brevitas quantizers in use), ``insertion`` (which of them stands where),
``alignment`` (one grid for tensors that are added or concatenated), ``calibration`` (scales from
observed values), ``report`` (signal-to-noise ratio by layer), ``ptq`` (all of it in one call).
"""

import warnings

with warnings.catch_warnings():
    # Brevitas recommends a package for something else whenever this is imported.
    warnings.filterwarnings("ignore", message="fast_hadamard_transform")
    from tilewright.quantization.ptq import Quantized, quantize, quantize_with_report
    from tilewright.quantization.report import LayerAccuracy, QuantizationReport

__all__ = [
    "LayerAccuracy",
    "QuantizationReport",
    "Quantized",
    "quantize",
    "quantize_with_report",
]
