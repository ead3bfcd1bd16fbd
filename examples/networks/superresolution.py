"""ESPCN: Shi et al., Real-Time Single Image and Video Super-Resolution, 2016, arXiv:1609.05158."""

from __future__ import annotations

from torch import nn

from examples.networks.layers import scaled


class ESPCN(nn.Sequential):
    """Three convolutions at low resolution, then channels become pixels.

    The paper's tanh is a ReLU here, as in later implementations.
    """

    def __init__(self, *, factor: int = 3, width: float = 1.0) -> None:
        first, second = scaled(64, width), scaled(32, width)
        super().__init__(
            nn.Conv2d(1, first, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(second, factor**2, 3, padding=1),
            nn.PixelShuffle(factor),
        )
