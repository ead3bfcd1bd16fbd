"""EfficientNet: Tan and Le, 2019, arXiv:1905.11946, table 1."""

from __future__ import annotations

from functools import partial

from torch import nn

from examples.networks.layers import classifier, convolution, scaled
from examples.networks.mobilenet import InvertedResidual, SqueezeExcite


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
                excite = partial(
                    SqueezeExcite, middle=channels // 4, activation=nn.SiLU, gate=nn.Sigmoid
                )
                layers.append(
                    InvertedResidual(
                        channels,
                        outputs,
                        wide=channels * expansion,
                        stride=stride,
                        kernel=kernel,
                        activation=nn.SiLU,
                        excite=excite,
                    )
                )
                channels = outputs
        last = scaled(1280, width)
        layers.append(convolution(channels, last, activation=nn.SiLU))
        super().__init__(*layers, classifier(last, classes))
