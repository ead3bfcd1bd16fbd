"""EfficientNet: Tan and Le, 2019, arXiv:1905.11946, table 1."""

from __future__ import annotations

from torch import Tensor, nn

from examples.networks.layers import classifier, convolution, scaled


class Excitation(nn.Module):
    """Squeeze and excitation, of a fourth as many channels as the block's input has."""

    def __init__(self, channels: int, middle: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce, self.expand = nn.Conv2d(channels, middle, 1), nn.Conv2d(middle, channels, 1)
        self.activation, self.gate = nn.SiLU(), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled feature map."""
        return x * self.gate(self.expand(self.activation(self.reduce(self.pool(x)))))


class MBConv(nn.Module):
    """An inverted residual with squeeze and excitation."""

    def __init__(
        self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int
    ) -> None:
        super().__init__()
        wide = inputs * expansion
        expand = [convolution(inputs, wide, activation=nn.SiLU)] if expansion > 1 else []
        self.body = nn.Sequential(
            *expand,
            convolution(wide, wide, kernel, stride=stride, groups=wide, activation=nn.SiLU),
            Excitation(wide, inputs // 4),
            convolution(wide, outputs, activation=None),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature map."""
        return x + self.body(x) if self.shortcut else self.body(x)


class EfficientNetB0(nn.Sequential):
    """The baseline network; ``width`` is the paper's coefficient of width."""

    # Expansion, kernel, output channels, blocks, stride of the first.
    STAGES = (
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    )

    def __init__(self, *, width: float = 1.0, classes: int = 1000) -> None:
        channels = scaled(32, width)
        layers: list[nn.Module] = [convolution(3, channels, 3, stride=2, activation=nn.SiLU)]
        for expansion, kernel, base, count, first in self.STAGES:
            outputs = scaled(base, width)
            for block in range(count):
                stride = first if block == 0 else 1
                layers.append(
                    MBConv(channels, outputs, expansion=expansion, kernel=kernel, stride=stride)
                )
                channels = outputs
        last = scaled(1280, width)
        layers.append(convolution(channels, last, activation=nn.SiLU))
        super().__init__(*layers, classifier(last, classes))
