"""Networks of large depthwise kernels and wide pointwise layers.

ConvNeXt: Liu et al., 2022, arXiv:2201.03545. InceptionNeXt: Yu et al., 2023, arXiv:2303.16900.
GELU is a ReLU here and layer norm is batch norm, each behind a convolution of its own; there is no
layer scale.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.networks.layers import classifier, convolution, scaled


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
