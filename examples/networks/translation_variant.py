"""TVConv: Chen et al., Translation Variant Convolution, 2022, arXiv:2203.10489."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from examples.networks.layers import classifier, convolution, scaled


class TVConv(nn.Module):
    """A depthwise convolution whose kernel is another one at every position.

    Two convolutions make the kernels of an affinity map, which is a parameter: they do not depend
    on the image.
    """

    def __init__(
        self, channels: int, size: tuple[int, int], *, taps: int = 3, stride: int = 1
    ) -> None:
        super().__init__()
        self.taps, self.stride = taps, stride
        self.size = (-(-size[0] // stride), -(-size[1] // stride))
        self.affinity = nn.Parameter(torch.randn(1, 4, *self.size))
        self.kernels = nn.Sequential(
            convolution(4, 64, 3), nn.Conv2d(64, channels * taps**2, 3, padding=1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the sums of each position's window with its own kernel."""
        kernels = self.kernels(self.affinity).unflatten(1, (-1, self.taps**2))
        windows = F.unfold(x, self.taps, padding=self.taps // 2, stride=self.stride)
        windows = windows.view(len(x), *kernels.shape[1:3], *self.size)
        return (kernels * windows).sum(2)


class _InvertedResidual(nn.Module):
    """MobileNetV2's block, with another kernel at each position."""

    def __init__(
        self, inputs: int, outputs: int, size: tuple[int, int], stride: int, expansion: int = 3
    ) -> None:
        super().__init__()
        wide = expansion * inputs
        self.shortcut = stride == 1 and inputs == outputs
        self.body = nn.Sequential(
            convolution(inputs, wide, activation=nn.ReLU6),
            TVConv(wide, size, stride=stride),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            convolution(wide, outputs, activation=None),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature map."""
        return x + self.body(x) if self.shortcut else self.body(x)


class TVNet(nn.Sequential):
    """A small MobileNetV2 that makes 64 numbers of images of one layout, as aligned faces."""

    def __init__(
        self,
        *,
        size: tuple[int, int] = (96, 96),
        width: float = 1.0,
        classes: int = 64,
    ) -> None:
        channels = [scaled(base, width) for base in (16, 24, 32)]
        layers: list[nn.Module] = [convolution(3, channels[0], 3, stride=2, activation=nn.ReLU6)]
        size = (-(-size[0] // 2), -(-size[1] // 2))
        inputs = channels[0]
        for outputs in channels[1:]:
            layers.append(_InvertedResidual(inputs, outputs, size, 2))
            size = (-(-size[0] // 2), -(-size[1] // 2))
            layers.append(_InvertedResidual(outputs, outputs, size, 1))
            inputs = outputs
        super().__init__(*layers, classifier(inputs, classes))
