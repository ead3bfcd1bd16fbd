"""MobileNets for images.

V1: Howard et al., 2017, arXiv:1704.04861. V2: Sandler et al., 2018, arXiv:1801.04381, table 2. V3:
Howard et al., 2019, arXiv:1905.02244, table 2.
"""

from __future__ import annotations

from torch import Tensor, nn

from examples.networks.layers import classifier, convolution, scaled, separable


class MobileNetV1(nn.Sequential):
    """Depthwise separable convolutions; ``width`` is the paper's multiplier."""

    def __init__(self, *, width: float = 1.0, classes: int = 1000) -> None:
        channels = scaled(32, width)
        layers = [convolution(3, channels, 3, stride=2)]
        # Output channels and stride.
        for base, stride in (
            (64, 1),
            *((128, 2), (128, 1)),
            *((256, 2), (256, 1)),
            *((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
            *((1024, 2), (1024, 1)),
        ):
            outputs = scaled(base, width)
            layers.append(separable(channels, outputs, stride=stride))
            channels = outputs
        super().__init__(*layers, classifier(channels, classes))


class InvertedResidual(nn.Module):
    """Expands, filters each channel, projects; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        expand = [convolution(inputs, wide, activation=nn.ReLU6)] if expansion > 1 else []
        self.body = nn.Sequential(
            *expand,
            convolution(wide, wide, 3, stride=stride, groups=wide, activation=nn.ReLU6),
            convolution(wide, outputs, activation=None),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature map."""
        return x + self.body(x) if self.shortcut else self.body(x)


class MobileNetV2(nn.Sequential):
    """Inverted residuals with linear bottlenecks; ``width`` is the paper's multiplier."""

    # Expansion, output channels, blocks, stride of the first.
    STAGES = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self, *, width: float = 1.0, classes: int = 1000) -> None:
        channels = scaled(32, width)
        layers: list[nn.Module] = [convolution(3, channels, 3, stride=2, activation=nn.ReLU6)]
        for expansion, base, count, first in self.STAGES:
            outputs = scaled(base, width)
            for block in range(count):
                stride = first if block == 0 else 1
                layers.append(
                    InvertedResidual(channels, outputs, expansion=expansion, stride=stride)
                )
                channels = outputs
        last = scaled(1280, max(width, 1.0))
        layers.append(convolution(channels, last, activation=nn.ReLU6))
        super().__init__(*layers, classifier(last, classes))


class SqueezeExcite(nn.Module):
    """Scales every channel by a function of all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = scaled(channels, 0.25)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, middle, 1),
            nn.ReLU(),
            nn.Conv2d(middle, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled feature map."""
        return x * self.gate(x)


class BottleneckV3(nn.Module):
    """An inverted residual with a kernel of any size and, maybe, squeeze and excitation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int,
        wide: int,
        excite: bool,
        activation: type[nn.Module],
        stride: int,
    ) -> None:
        super().__init__()
        expand = [convolution(inputs, wide, activation=activation)] if wide != inputs else []
        self.body = nn.Sequential(
            *expand,
            convolution(wide, wide, kernel, stride=stride, groups=wide, activation=activation),
            *([SqueezeExcite(wide)] if excite else []),
            convolution(wide, outputs, activation=None),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature map."""
        return x + self.body(x) if self.shortcut else self.body(x)


class MobileNetV3Small(nn.Sequential):
    """The small network, with h-swish and squeeze and excitation."""

    # Kernel, expanded channels, output channels, excitation, h-swish, stride.
    BLOCKS = (
        (3, 16, 16, True, False, 2),
        (3, 72, 24, False, False, 2),
        (3, 88, 24, False, False, 1),
        (5, 96, 40, True, True, 2),
        (5, 240, 40, True, True, 1),
        (5, 240, 40, True, True, 1),
        (5, 120, 48, True, True, 1),
        (5, 144, 48, True, True, 1),
        (5, 288, 96, True, True, 2),
        (5, 576, 96, True, True, 1),
        (5, 576, 96, True, True, 1),
    )

    def __init__(self, *, width: float = 1.0, classes: int = 1000) -> None:
        channels = scaled(16, width)
        layers: list[nn.Module] = [convolution(3, channels, 3, stride=2, activation=nn.Hardswish)]
        for kernel, wide, base, excite, swish, stride in self.BLOCKS:
            outputs = scaled(base, width)
            layers.append(
                BottleneckV3(
                    channels,
                    outputs,
                    kernel=kernel,
                    wide=scaled(wide, width),
                    excite=excite,
                    activation=nn.Hardswish if swish else nn.ReLU,
                    stride=stride,
                )
            )
            channels = outputs
        last, hidden = scaled(576, width), scaled(1024, width)
        super().__init__(
            *layers,
            convolution(channels, last, activation=nn.Hardswish),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(last, hidden),
            nn.Hardswish(),
            nn.Linear(hidden, classes),
        )
