"""Networks with a class for every pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.networks.layers import convolution, scaled
from examples.networks.resnet import BasicBlock


class UNet(nn.Module):
    """U-Net: Ronneberger et al., 2015, arXiv:1505.04597.

    Convolutions are padded, so that nothing is cropped, and the way up is nearest neighbour
    upsampling and a convolution instead of a transposed one, as in many later variants.
    """

    def __init__(self, *, depth: int = 4, width: float = 1.0, classes: int = 2) -> None:
        super().__init__()
        widths = [scaled(64 * 2**level, width) for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _pair(inputs, outputs)
            for inputs, outputs in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.pool, self.up = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
        self.narrow = nn.ModuleList(
            convolution(widths[level + 1], widths[level], 3) for level in range(depth)
        )
        self.merge = nn.ModuleList(
            _pair(2 * widths[level], widths[level]) for level in range(depth)
        )
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of every pixel."""
        levels = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            levels.append(x)
        for level in reversed(range(len(self.merge))):
            above = self.narrow[level](self.up(x))
            x = self.merge[level](torch.cat([levels[level], above], dim=1))
        return self.head(x)


def _pair(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(convolution(inputs, outputs, 3), convolution(outputs, outputs, 3))


class AtrousPyramid(nn.Module):
    """DeepLabv3: Chen et al., 2017, arXiv:1706.05587, on the first stages of a ResNet.

    Output stride 8. The branch that pools the whole image is left out, and the logits are not
    interpolated to the input's size.
    """

    RATES = (6, 12, 18)

    def __init__(self, *, width: float = 1.0, classes: int = 21) -> None:
        super().__init__()
        first, second, third = (scaled(64 * 2**stage, width) for stage in range(3))
        self.backbone = nn.Sequential(
            convolution(3, first, 7, stride=2),
            nn.MaxPool2d(3, 2, 1),
            BasicBlock(first, first, 1),
            BasicBlock(first, second, 2),
            BasicBlock(second, third, 1),
        )
        self.branches = nn.ModuleList([convolution(third, third)])
        self.branches += [
            nn.Sequential(
                nn.Conv2d(third, third, 3, padding=rate, dilation=rate, bias=False),
                nn.BatchNorm2d(third),
                nn.ReLU(),
            )
            for rate in self.RATES
        ]
        self.project = convolution(third * len(self.branches), third)
        self.head = nn.Conv2d(third, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, one for 8 x 8 pixels."""
        x = self.backbone(x)
        return self.head(self.project(torch.cat([branch(x) for branch in self.branches], dim=1)))
