"""A detector in the style of YOLOv8, the smallest of its sizes.

Source: the configuration that its authors publish; Terven et al., 2023, arXiv:2304.00501.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from examples.networks.layers import convolution, scaled

_convolution = partial(convolution, activation=nn.SiLU)


class _Block(nn.Module):
    """Two 3x3 convolutions, and maybe a shortcut."""

    def __init__(self, channels: int, *, shortcut: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels, 3), _convolution(channels, channels, 3)
        )
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature map."""
        return x + self.body(x) if self.shortcut else self.body(x)


class CrossStage(nn.Module):
    """C2f: half of the channels passes blocks, and what each of them gives is kept."""

    def __init__(self, inputs: int, outputs: int, count: int, *, shortcut: bool = False) -> None:
        super().__init__()
        half = outputs // 2
        self.enter = _convolution(inputs, outputs)
        self.blocks = nn.ModuleList(_Block(half, shortcut=shortcut) for _ in range(count))
        self.leave = _convolution((2 + count) * half, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the stage's feature map."""
        parts = list(self.enter(x).chunk(2, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class PyramidPool(nn.Module):
    """SPPF: the largest of 5, 9 and 13 pixels each way, by the same pooling three times."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter, self.leave = (
            _convolution(channels, channels // 2),
            _convolution(2 * channels, channels),
        )
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature map with its surroundings."""
        parts = [self.enter(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class YOLO(nn.Module):
    """Boxes and classes at three scales, as distributions over 16 distances to each side.

    What is left for the host is to decode and to choose among boxes.

    Parameters
    ----------
    width : 1 is the smallest of the published sizes, "n"
    classes : as in COCO
    """

    BINS = 16

    def __init__(self, *, width: float = 1.0, classes: int = 80) -> None:
        super().__init__()
        first, second, third, fourth, fifth = (scaled(16 * 2**n, width) for n in range(5))
        self.stem = nn.Sequential(
            _convolution(3, first, 3, stride=2),
            _convolution(first, second, 3, stride=2),
            CrossStage(second, second, 1, shortcut=True),
            _convolution(second, third, 3, stride=2),
            CrossStage(third, third, 2, shortcut=True),
        )
        self.middle = nn.Sequential(
            _convolution(third, fourth, 3, stride=2), CrossStage(fourth, fourth, 2, shortcut=True)
        )
        self.deep = nn.Sequential(
            _convolution(fourth, fifth, 3, stride=2),
            CrossStage(fifth, fifth, 1, shortcut=True),
            PyramidPool(fifth),
        )
        self.up = nn.Upsample(scale_factor=2)
        self.up_middle = CrossStage(fifth + fourth, fourth, 1)
        self.up_fine = CrossStage(fourth + third, third, 1)
        self.down_middle = _convolution(third, third, 3, stride=2)
        self.merge_middle = CrossStage(third + fourth, fourth, 1)
        self.down_deep = _convolution(fourth, fourth, 3, stride=2)
        self.merge_deep = CrossStage(fourth + fifth, fifth, 1)
        scales = (third, fourth, fifth)
        between = max(third, min(classes, 100)) if width == 1 else scaled(80, width)
        self.boxes = nn.ModuleList(_head(c, 4 * self.BINS, 4 * self.BINS) for c in scales)
        self.classes = nn.ModuleList(_head(c, between, classes) for c in scales)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return (N, 64, H, W) and (N, classes, H, W) of each scale, the finest first."""
        fine = self.stem(x)
        middle = self.middle(fine)
        deep = self.deep(middle)
        middle = self.up_middle(torch.cat([self.up(deep), middle], 1))
        fine = self.up_fine(torch.cat([self.up(middle), fine], 1))
        middle = self.merge_middle(torch.cat([self.down_middle(fine), middle], 1))
        deep = self.merge_deep(torch.cat([self.down_deep(middle), deep], 1))
        scales = (fine, middle, deep)
        boxes = [head(scale) for head, scale in zip(self.boxes, scales, strict=True)]
        return (*boxes, *(head(scale) for head, scale in zip(self.classes, scales, strict=True)))


def _head(inputs: int, between: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(inputs, between, 3),
        _convolution(between, between, 3),
        nn.Conv2d(between, outputs, 1),
    )
