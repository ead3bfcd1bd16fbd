"""HorNet: Rao et al., Recursive Gated Convolutions, 2022, arXiv:2207.14284."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.networks.layers import ChannelNorm, classifier, scaled


class RecursiveGatedConv(nn.Module):
    """Products of ``order`` maps, each of twice the channels of that before it.

    The first has ``channels >> order - 1`` channels. All factors come from one 7x7 depthwise
    convolution.
    """

    def __init__(self, channels: int, order: int) -> None:
        super().__init__()
        self.sizes = [channels >> step for step in reversed(range(order))]
        total = sum(self.sizes)
        self.enter = nn.Conv2d(channels, self.sizes[0] + total, 1)
        self.spatial = nn.Conv2d(total, total, 7, padding=3, groups=total)
        self.widen = nn.ModuleList(
            nn.Conv2d(less, more, 1)
            for less, more in zip(self.sizes[:-1], self.sizes[1:], strict=True)
        )
        self.leave = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixed map."""
        y, rest = torch.split(self.enter(x), (self.sizes[0], sum(self.sizes)), dim=1)
        first, *factors = torch.split(self.spatial(rest) / 3, self.sizes, dim=1)
        y = y * first
        for widen, factor in zip(self.widen, factors, strict=True):
            y = widen(y) * factor
        return self.leave(y)


class _Block(nn.Module):
    """The mixer and two layers between channels, each beside a shortcut."""

    def __init__(self, channels: int, order: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(ChannelNorm(channels), RecursiveGatedConv(channels, order))
        self.expand = nn.Sequential(
            ChannelNorm(channels),
            nn.Conv2d(channels, 4 * channels, 1),
            nn.GELU(),
            nn.Conv2d(4 * channels, channels, 1),
        )
        self.scales = nn.ParameterList(torch.full((channels, 1, 1), 0.3) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature map."""
        x = x + self.scales[0] * self.mix(x)
        return x + self.scales[1] * self.expand(x)


class HorNet(nn.Sequential):
    """Four stages, of products of two to five maps.

    The paper's smallest network has twice the channels and 2, 3, 18 and 2 blocks.
    """

    def __init__(
        self,
        *,
        channels: tuple[int, ...] = (32, 64, 128, 256),
        depths: tuple[int, ...] = (1, 1, 2, 1),
        width: float = 1.0,
        classes: int = 1000,
    ) -> None:
        layers: list[nn.Module] = []
        inputs = 3
        for stage, (base, depth) in enumerate(zip(channels, depths, strict=True)):
            outputs, order = scaled(base, width, 2 ** (stage + 1)), stage + 2
            if stage:
                layers += [ChannelNorm(inputs), nn.Conv2d(inputs, outputs, 2, 2)]
            else:
                layers += [nn.Conv2d(inputs, outputs, 4, 4), ChannelNorm(outputs)]
            layers += [_Block(outputs, order) for _ in range(depth)]
            inputs = outputs
        super().__init__(*layers, classifier(inputs, classes))
