"""Networks of large depthwise kernels and wide pointwise layers.

ConvNeXt: Liu et al., 2022, arXiv:2201.03545. InceptionNeXt: Yu et al., 2023, arXiv:2303.16900.
In ``ConvNeXt``, GELU is a ReLU and layer norm is batch norm, each behind a convolution of its own,
and there is no layer scale; ``NormedConvNeXt`` has all of them, where the paper has.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.networks.layers import ChannelNorm, classifier, convolution, scaled


class InceptionMixer(nn.Module):
    """Square and band-shaped depthwise kernels on an eighth of the channels each."""

    def __init__(self, channels: int, band: int = 11) -> None:
        super().__init__()
        part = channels // 8
        self.sizes = [channels - 3 * part, part, part, part]
        self.square = convolution(part, part, 3, groups=part, activation=None)
        self.wide = convolution(
            part, part, (1, band), padding=(0, band // 2), groups=part, activation=None
        )
        self.high = convolution(
            part, part, (band, 1), padding=(band // 2, 0), groups=part, activation=None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Mix neighbouring pixels."""
        same, a, b, c = torch.split(x, self.sizes, dim=1)
        return torch.cat([same, self.square(a), self.wide(b), self.high(c)], dim=1)


class Block(nn.Module):
    """A token mixer, an expansion by four and a projection, beside a shortcut."""

    def __init__(self, channels: int, mixer: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(
            mixer,
            convolution(channels, 4 * channels),
            convolution(4 * channels, channels, activation=None),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature map."""
        return x + self.body(x)


class ConvNeXt(nn.Sequential):
    """Four stages of blocks; the default is the size called femto.

    Parameters
    ----------
    channels, depths : of each stage
    inception : mix with InceptionMixer instead of 7x7 depthwise kernels
    """

    def __init__(
        self,
        *,
        channels: tuple[int, ...] = (48, 96, 192, 384),
        depths: tuple[int, ...] = (2, 2, 6, 2),
        inception: bool = False,
        width: float = 1.0,
        classes: int = 1000,
    ) -> None:
        layers: list[nn.Module] = []
        inputs = 3
        for stage, (base, depth) in enumerate(zip(channels, depths, strict=True)):
            outputs, step = scaled(base, width), 2 if stage else 4
            layers.append(
                convolution(inputs, outputs, step, stride=step, padding=0, activation=None)
            )
            for _ in range(depth):
                mixer = (
                    InceptionMixer(outputs)
                    if inception
                    else convolution(outputs, outputs, 7, groups=outputs, activation=None)
                )
                layers.append(Block(outputs, mixer))
            inputs = outputs
        super().__init__(*layers, classifier(inputs, classes))


class _NormedBlock(nn.Module):
    """A 7x7 depthwise convolution, a layer norm and two layers between channels, channels last."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.body = nn.Sequential(
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
        )
        self.scale = nn.Parameter(torch.full((channels,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature map."""
        y = self.scale * self.body(self.spatial(x).permute(0, 2, 3, 1))
        return x + y.permute(0, 3, 1, 2)


class NormedConvNeXt(nn.Sequential):
    """ConvNeXt with layer norms, GELU and layer scales; by default half as deep as femto.

    Parameters
    ----------
    channels, depths : of each stage
    """

    def __init__(
        self,
        *,
        channels: tuple[int, ...] = (48, 96, 192, 384),
        depths: tuple[int, ...] = (1, 1, 3, 1),
        width: float = 1.0,
        classes: int = 1000,
    ) -> None:
        layers: list[nn.Module] = []
        inputs = 3
        for stage, (base, depth) in enumerate(zip(channels, depths, strict=True)):
            outputs = scaled(base, width)
            if stage:
                layers += [ChannelNorm(inputs, eps=1e-6), nn.Conv2d(inputs, outputs, 2, 2)]
            else:
                layers += [nn.Conv2d(inputs, outputs, 4, 4), ChannelNorm(outputs, eps=1e-6)]
            layers += [_NormedBlock(outputs) for _ in range(depth)]
            inputs = outputs
        super().__init__(
            *layers,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.LayerNorm(inputs, eps=1e-6),
            nn.Linear(inputs, classes),
        )
