"""FastDepth: Wofk et al., Fast Monocular Depth Estimation, 2019, arXiv:1903.03273."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from examples.networks.layers import convolution, scaled, separable


class FastDepth(nn.Module):
    """A MobileNet encoder, and a decoder of separable 5x5 convolutions and upsampling.

    Feature maps of the encoder are added on the way up.
    """

    def __init__(self, *, width: float = 1.0) -> None:
        super().__init__()
        w = [scaled(n, width) for n in (32, 64, 128, 256, 512, 1024)]
        self.encoder = nn.ModuleList(
            [
                nn.Sequential(convolution(3, w[0], 3, stride=2), separable(w[0], w[1])),
                nn.Sequential(separable(w[1], w[2], stride=2), separable(w[2], w[2])),
                nn.Sequential(separable(w[2], w[3], stride=2), separable(w[3], w[3])),
                nn.Sequential(
                    separable(w[3], w[4], stride=2), *(separable(w[4], w[4]) for _ in range(5))
                ),
                nn.Sequential(separable(w[4], w[5], stride=2), separable(w[5], w[5])),
            ]
        )
        channels = (w[5], w[4], w[3], w[2], w[1], w[0])
        self.decoder = nn.ModuleList(
            nn.Sequential(convolution(a, a, 5, groups=a), convolution(a, b))
            for a, b in pairwise(channels)
        )
        self.up = nn.Upsample(scale_factor=2)
        self.head = nn.Conv2d(w[0], 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the depth of every pixel."""
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        for index, stage in enumerate(self.decoder):
            x = self.up(stage(x))
            if 0 < index < 4:
                x = x + skips[3 - index]
        return self.head(x)
