"""DS-CNN: Zhang et al., Hello Edge: Keyword Spotting on Microcontrollers, arXiv:1711.07128."""

from __future__ import annotations

from torch import nn

from examples.networks.layers import classifier, convolution, scaled, separable


class DSCNN(nn.Sequential):
    """The small one: a 10x4 convolution and four separable ones of 64 channels.

    The input is 49 frames of 10 cepstral coefficients.
    """

    def __init__(self, *, width: float = 1.0, classes: int = 12) -> None:
        channels = scaled(64, width)
        super().__init__(
            convolution(1, channels, (10, 4), stride=2, padding=(5, 1)),
            *(separable(channels, channels) for _ in range(4)),
            classifier(channels, classes),
        )
