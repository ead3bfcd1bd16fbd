"""The detector: a ShuffleNetV2-like backbone, deformable upsampling, outputs as in CenterNet."""

from __future__ import annotations

from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.quant import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int32Bias,
    Uint8ActPerTensorFloat,
)
from torch import Tensor, nn

from examples.detector.shapes import CLASSES
from tilewright.nn import DeformConv2dPack, QuantDeformConv2dPack

STRIDE = 2
"""Pixels of the image per pixel of the outputs."""
BOUND = 7
"""Pixels that offsets reach, at most."""
FRACTION_BITS = 4


class Layers:
    """Makes layers: in floats, or with 4-bit weights and 8-bit activations."""

    def __init__(self, *, quantized: bool) -> None:
        self.quantized = quantized
        self.weights = {"weight_quant": Int8WeightPerChannelFloat, "weight_bit_width": 4}

    def image(self) -> nn.Module:
        """Return the quantizer of the image."""
        if not self.quantized:
            return nn.Identity()
        return qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, return_quant_tensor=True)

    def relu(self) -> nn.Module:
        """Return an activation function."""
        if not self.quantized:
            return nn.ReLU()
        return qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, return_quant_tensor=True)

    def out(self) -> nn.Module:
        """Return the quantizer of something that may be negative."""
        if not self.quantized:
            return nn.Identity()
        return qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat)

    def conv(self, inputs: int, outputs: int, kernel: int = 1, **keywords: Any) -> nn.Sequential:
        """Return convolution and batch norm."""
        keywords = {"padding": kernel // 2, "bias": False} | keywords
        if self.quantized:
            conv: nn.Module = qnn.QuantConv2d(inputs, outputs, kernel, **self.weights, **keywords)
        else:
            conv = nn.Conv2d(inputs, outputs, kernel, **keywords)
        return nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def last(self, inputs: int, outputs: int) -> nn.Module:
        """Return a 1x1 convolution with bias."""
        if not self.quantized:
            return nn.Conv2d(inputs, outputs, 1)
        return qnn.QuantConv2d(inputs, outputs, 1, bias=True, bias_quant=Int32Bias, **self.weights)

    def deformable(self, channels: int) -> nn.Sequential:
        """Return a depthwise deformable convolution and batch norm."""
        options: dict[str, Any] = {"padding": 1, "groups": channels, "bias": False, "bound": BOUND}
        if self.quantized:
            head = self.weights | {"bias_quant": Int32Bias}
            conv: nn.Module = QuantDeformConv2dPack(
                channels, channels, 3, fraction_bits=FRACTION_BITS, head=head,
                **options, **self.weights,
            )  # fmt: skip
        else:
            conv = DeformConv2dPack(channels, channels, 3, **options)
        return nn.Sequential(conv, nn.BatchNorm2d(channels))


class Stage(nn.Module):
    """Half the size, then units in which half of the channels pass; all on one grid."""

    def __init__(self, layers: Layers, inputs: int, outputs: int, units: int) -> None:
        super().__init__()
        half = outputs // 2
        self.left = nn.Sequential(
            layers.conv(inputs, inputs, 3, stride=2, groups=inputs), layers.relu(),
            layers.conv(inputs, half),
        )  # fmt: skip
        self.right = self._branch(layers, inputs, half, 2)
        self.units = nn.ModuleList(self._branch(layers, half, half, 1) for _ in range(units))
        self.relu = layers.relu()
        self.shuffle = nn.ChannelShuffle(2)

    @staticmethod
    def _branch(layers: Layers, inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            layers.conv(inputs, outputs), layers.relu(),
            layers.conv(outputs, outputs, 3, stride=stride, groups=outputs), layers.relu(),
            layers.conv(outputs, outputs),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        """Return the stage's feature map."""
        parts = [self.relu(self.left(x)), self.relu(self.right(x))]
        x = self.shuffle(torch.cat([value_of(part) for part in parts], dim=1))
        for unit in self.units:
            a, b = x.chunk(2, dim=1)
            x = self.shuffle(torch.cat([a, value_of(self.relu(unit(b)))], dim=1))
        return x


class Up(nn.Module):
    """Twice the size, plus features of the backbone; then a depthwise convolution and a 1x1 one."""

    def __init__(self, layers: Layers, inputs: int, skipped: int, deformable: bool) -> None:
        super().__init__()
        self.up = nn.Upsample(scale_factor=2)
        self.lateral = layers.conv(skipped, inputs)
        self.grid, self.join = layers.out(), layers.relu()
        self.depthwise = (
            layers.deformable(inputs)
            if deformable
            else layers.conv(inputs, inputs, 3, groups=inputs)
        )
        self.first, self.second = layers.relu(), layers.relu()
        self.pointwise = layers.conv(inputs, inputs)

    def forward(self, x: Any, skipped: Any) -> Any:
        """Return the feature map, as large as ``skipped``."""
        lateral = self.lateral(skipped)
        x = self.join(self.grid(self.up(value_of(x))) + self.grid(lateral))
        return self.second(self.pointwise(self.first(self.depthwise(x))))


class Detector(nn.Module):
    """Heatmap logits of every class, sizes and offsets of boxes, at half the image's size.

    Sizes and offsets are in pixels of the output.

    Parameters
    ----------
    deformable : whether the two upsampling stages deform
    quantized : 4-bit weights and 8-bit activations; loads what the float network has learned
    """

    def __init__(self, *, deformable: bool, quantized: bool, width: int = 16) -> None:
        super().__init__()
        layers = Layers(quantized=quantized)
        w = width
        self.image = layers.image()
        self.stem = nn.Sequential(layers.conv(1, w, 3, stride=2), layers.relu())
        self.stage = Stage(layers, w, 4 * w, 1)
        self.neck = nn.Sequential(layers.conv(4 * w, 2 * w), layers.relu())
        self.up = Up(layers, 2 * w, w, deformable)
        self.heads = nn.ModuleList(
            nn.Sequential(
                layers.conv(2 * w, 2 * w), layers.relu(), layers.last(2 * w, count), layers.out()
            )
            for count in (len(CLASSES), 2, 2)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return heatmap logits, sizes and offsets, (N, 3 | 2 | 2, H / 2, W / 2)."""
        stem = self.stem(self.image(x))
        x = self.up(self.neck(self.stage(stem)), stem)
        heatmap, size, offset = (head(x) for head in self.heads)
        return heatmap, size, offset


def value_of(x: Any) -> Any:
    """Return the tensor without its scale: what a concatenation or a repetition would lose."""
    return getattr(x, "value", x)
