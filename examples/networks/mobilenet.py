"""MobileNets for images.

V1: Howard et al., 2017, arXiv:1704.04861. V2: Sandler et al., 2018, arXiv:1801.04381, table 2. V3:
Howard et al., 2019, arXiv:1905.02244, table 2.
"""

from __future__ import annotations

from collections.abc import Callable

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
    """Expands, filters each channel, projects; a shortcut where the shape stays.

    Parameters
    ----------
    wide : channels between; as many as ``inputs`` are not expanded
    excite : makes, of so many channels, what scales them before they are projected
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        wide: int,
        stride: int,
        kernel: int = 3,
        activation: type[nn.Module] = nn.ReLU6,
        excite: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        expand = [convolution(inputs, wide, activation=activation)] if wide != inputs else []
        self.body = nn.Sequential(
            *expand,
            convolution(wide, wide, kernel, stride=stride, groups=wide, activation=activation),
            *([] if excite is None else [excite(wide)]),
            convolution(wide, outputs, activation=None),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature map."""
        return x + self.body(x) if self.shortcut else self.body(x)


class MobileNetV2(nn.Sequential):
    """Inverted residuals with linear bottlenecks; ``width`` is the paper's multiplier.

    ``kernel`` : of the filters of single channels, 3 in the paper
    """

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

    def __init__(self, *, kernel: int = 3, width: float = 1.0, classes: int = 1000) -> None:
        channels = scaled(32, width)
        layers: list[nn.Module] = [convolution(3, channels, 3, stride=2, activation=nn.ReLU6)]
        for expansion, base, count, first in self.STAGES:
            outputs = scaled(base, width)
            for block in range(count):
                stride = first if block == 0 else 1
                wide = channels * expansion
                layers.append(
                    InvertedResidual(channels, outputs, wide=wide, stride=stride, kernel=kernel)
                )
                channels = outputs
        last = scaled(1280, max(width, 1.0))
        layers.append(convolution(channels, last, activation=nn.ReLU6))
        super().__init__(*layers, classifier(last, classes))


class SqueezeExcite(nn.Module):
    """Scales every channel by a function of all channels' means.

    Parameters
    ----------
    middle : channels between; None: a fourth
    """

    def __init__(
        self,
        channels: int,
        middle: int | None = None,
        *,
        activation: type[nn.Module] = nn.ReLU,
        gate: type[nn.Module] = nn.Hardsigmoid,
    ) -> None:
        super().__init__()
        middle = scaled(channels, 0.25) if middle is None else middle
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, middle, 1),
            activation(),
            nn.Conv2d(middle, channels, 1),
            gate(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled feature map."""
        return x * self.gate(x)


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
                InvertedResidual(
                    channels,
                    outputs,
                    wide=scaled(wide, width),
                    stride=stride,
                    kernel=kernel,
                    activation=nn.Hardswish if swish else nn.ReLU,
                    excite=SqueezeExcite if excite else None,
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
