"""HorNet's mixer beside its shortcut, with Brevitas' layers in place of ``tilewright.quantize``.

Every tensor that the engine stores has a quantizer: results of convolutions, and of each product.
What is split in floats is made by convolutions of its own, so that each part has its own grid.
"""

from __future__ import annotations

import itertools

import brevitas.nn as qnn
import torch
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Int32Bias
from torch import Tensor, nn

from examples.networks.hornet import RecursiveGatedConv


class QuantRecursiveGatedConv(nn.Module):
    """``x + scale * model(x)`` in 8 bits.

    Parameters
    ----------
    model : in floats
    scale : of the layer, as HorNet has one for each channel
    images : (N, C, H, W) that ranges are taken from; training may go on from them
    """

    def __init__(self, model: RecursiveGatedConv, scale: float, images: Tensor) -> None:
        super().__init__()
        sizes = model.sizes
        ends = list(itertools.accumulate((0, *sizes)))
        parts = [slice(a, b) for a, b in itertools.pairwise(ends)]
        self.input = _grid()
        self.first = _convolution(model.enter, slice(0, sizes[0]))
        # A third of the factors, as the model takes it, is in the weights.
        self.factors = nn.ModuleList(
            nn.Sequential(
                _convolution(model.enter, slice(sizes[0] + part.start, sizes[0] + part.stop)),
                _convolution(model.spatial, part, 1 / 3),
            )
            for part in parts
        )
        self.widen = nn.ModuleList(_convolution(layer) for layer in model.widen)
        self.products = nn.ModuleList(_grid() for _ in sizes)
        self.leave = _convolution(model.leave, factor=scale)
        self.sum = qnn.QuantEltwiseAdd(
            input_quant=Int8ActPerTensorFloat,
            output_quant=Int8ActPerTensorFloat,
            return_quant_tensor=True,
        )
        with torch.no_grad():
            self.train()(images)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return the map and what is mixed of it."""
        x = self.input(x)
        y = self.products[0](self.first(x) * self.factors[0](x))
        for place, widen in enumerate(self.widen, 1):
            y = self.products[place](widen(y) * self.factors[place](x))
        return self.sum(x, self.leave(y))


def _grid() -> nn.Module:
    return qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, return_quant_tensor=True)


def _convolution(
    layer: nn.Module, kernels: slice = slice(None), factor: float = 1.0
) -> nn.Sequential:
    """Return some kernels of a convolution, times a factor, and their grid."""
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    weight, bias = layer.weight[kernels], layer.bias[kernels]
    result = qnn.QuantConv2d(
        weight.shape[1] if layer.groups == 1 else len(weight),
        len(weight),
        layer.kernel_size,
        padding=layer.padding,
        groups=1 if layer.groups == 1 else len(weight),
        weight_quant=Int8WeightPerChannelFloat,
        bias_quant=Int32Bias,
    )
    with torch.no_grad():
        result.weight.copy_(factor * weight)
        result.bias.copy_(factor * bias)
    return nn.Sequential(result, _grid())
