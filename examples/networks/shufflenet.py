"""ShuffleNetV2: Ma et al., Practical Guidelines for Efficient CNNs, 2018, arXiv:1807.11164."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.networks.layers import classifier, convolution, scaled


def _branch(inputs: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        convolution(inputs, channels),
        convolution(channels, channels, 3, stride=stride, groups=channels, activation=None),
        convolution(channels, channels),
    )


class Unit(nn.Module):
    """Half of the channels pass, half are convolved, then all are shuffled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = _branch(channels // 2, channels // 2, 1)
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the unit's feature map."""
        a, b = x.chunk(2, dim=1)
        return self.shuffle(torch.cat([a, self.branch(b)], dim=1))


class Downsample(nn.Module):
    """Both halves are convolved with stride 2."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.left = nn.Sequential(
            convolution(inputs, inputs, 3, stride=2, groups=inputs, activation=None),
            convolution(inputs, channels // 2),
        )
        self.right = _branch(inputs, channels // 2, 2)
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the unit's feature map."""
        return self.shuffle(torch.cat([self.left(x), self.right(x)], dim=1))


class ShuffleNetV2(nn.Sequential):
    """The network of table 5 at 1x; ``width`` scales all but the first channels."""

    # Channels and units of each stage.
    STAGES = ((116, 4), (232, 8), (464, 4))

    def __init__(self, *, width: float = 1.0, classes: int = 1000) -> None:
        channels = 24
        layers = [convolution(3, channels, 3, stride=2), nn.MaxPool2d(3, 2, 1)]
        for base, count in self.STAGES:
            outputs = scaled(base, width, 4)
            layers.append(Downsample(channels, outputs))
            layers += [Unit(outputs) for _ in range(count - 1)]
            channels = outputs
        last = scaled(1024, width)
        super().__init__(*layers, convolution(channels, last), classifier(last, classes))
