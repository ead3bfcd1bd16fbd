"""The networks with Brevitas's quantizers, to calibrate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import brevitas.nn as qnn
import torch
from brevitas.graph.calibrate import calibration_mode
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Int32Bias
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from examples.mlperf_tiny.floats import Layer, Network


class Twin(Network):
    """A network of 8 bits: weights per channel, biases of 32 bits on the accumulators' grids.

    Parameters
    ----------
    layers : as ``read_layers`` gives them
    batches : Tensor (N, ...) each, to calibrate with
    """

    def __init__(self, layers: Sequence[Layer], batches: Iterable[Tensor]) -> None:
        # Operands of additions and of layers with weights are rounded where they come from.
        self.unrounded = {i for layer in layers if layer.kind == "add" for i in layer.inputs}
        super().__init__(layers)
        with torch.no_grad(), calibration_mode(self):
            for batch in batches:
                self(batch)

    def rounded(self) -> nn.Module:
        """Return a quantizer."""
        return qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, return_quant_tensor=True)

    def with_weights(self, layer: Layer) -> nn.Module:
        """Return a quantized layer."""
        return layer.module(
            qnn.QuantConv2d,
            qnn.QuantLinear,
            weight_quant=Int8WeightPerChannelFloat,
            bias_quant=Int32Bias,
            return_quant_tensor=True,
        )

    def function(self, layer: Layer) -> nn.Module:
        """Return a quantizer, with ReLU where the layer has it; none before an addition's."""
        if layer.relu:
            return qnn.QuantReLU(return_quant_tensor=True)
        return nn.Identity() if layer.output in self.unrounded else self.rounded()

    def mean(self, x: Tensor) -> Tensor:
        """Return each channel's mean, in floats until it is rounded."""
        return super().mean(_value(x))

    def forward(self, x: Tensor) -> Tensor:
        """Return the last layer's result, as a tensor of floats."""
        return _value(super().forward(x))


def _value(x: Tensor) -> Tensor:
    return x.value if isinstance(x, QuantTensor) else x
