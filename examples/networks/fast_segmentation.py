"""Fast-SCNN: Poudel et al., 2019, arXiv:1902.04502, table 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.networks.layers import convolution, scaled, separable
from examples.networks.mobilenet import InvertedResidual


class PyramidPooling(nn.Module):
    """Means over 1, 2 x 2, 3 x 3 and 6 x 6 parts of the map, beside the map itself."""

    BINS = (1, 2, 3, 6)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(size), convolution(channels, channels // 4))
            for size in self.BINS
        )
        self.merge = convolution(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map with its surroundings."""
        size = x.shape[-2:]
        means = [nn.functional.interpolate(part(x), size, mode="bilinear") for part in self.parts]
        return self.merge(torch.cat([x, *means], 1))


class FastSCNN(nn.Module):
    """Two branches from the same first layers: one keeps an eighth of the resolution.

    The logits, at an eighth of the resolution too, are not interpolated to the input's size.
    """

    # Output channels, blocks, stride of the first.
    STAGES = ((64, 3, 2), (96, 3, 2), (128, 3, 1))

    def __init__(self, *, width: float = 1.0, classes: int = 19) -> None:
        super().__init__()
        first, second, third = (scaled(base, width) for base in (32, 48, 64))
        self.down = nn.Sequential(
            convolution(3, first, 3, stride=2),
            separable(first, second, stride=2),
            separable(second, third, stride=2),
        )
        channels, layers = third, []
        for base, count, stride in self.STAGES:
            outputs = scaled(base, width)
            for block in range(count):
                step = 1 if block else stride
                layers.append(InvertedResidual(channels, outputs, wide=6 * channels, stride=step))
                channels = outputs
        self.context = nn.Sequential(*layers, PyramidPooling(channels))
        self.up = nn.Upsample(scale_factor=4, mode="bilinear")
        self.widen = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=4, dilation=4, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            convolution(channels, channels, activation=None),
        )
        self.detail = convolution(third, channels, activation=None)
        self.head = nn.Sequential(
            nn.ReLU(),
            separable(channels, channels),
            separable(channels, channels),
            nn.Dropout(0.1),
            nn.Conv2d(channels, classes, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, one for 8 x 8 pixels."""
        x = self.down(x)
        return self.head(self.detail(x) + self.widen(self.up(self.context(x))))
