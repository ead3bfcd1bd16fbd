"""What several networks are made of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def scaled(channels: int, width: float, divisor: int = 8) -> int:
    """Scale a number of channels; rounds to a multiple of ``divisor``, at most a tenth down."""
    rounded = max(divisor, int(channels * width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels * width else rounded


def convolution(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int] = 1,
    *,
    stride: int = 1,
    padding: int | tuple[int, int] | None = None,
    groups: int = 1,
    activation: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Return convolution, batch norm and activation; by default, an odd kernel keeps the size."""
    if padding is None:
        assert isinstance(kernel, int)
        padding = kernel // 2
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


def separable(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 depthwise convolution and a 1x1 one."""
    return nn.Sequential(
        convolution(inputs, inputs, 3, stride=stride, groups=inputs), convolution(inputs, outputs)
    )


def classifier(channels: int, classes: int) -> nn.Sequential:
    """Return global average pooling and a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class ChannelNorm(nn.LayerNorm):
    """Layer norm of each pixel over its channels, of maps (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the map with a mean of 0 and a deviation of 1, then scaled and shifted."""
        tokens = F.layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return tokens.permute(0, 3, 1, 2)


class Branch(nn.Sequential):
    """Layers beside a shortcut, whose sizes ``initialize`` makes those of a trained layer scale."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the input and what the layers make of it."""
        return x + super().forward(x)
