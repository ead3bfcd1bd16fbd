"""SSD: Liu et al., Single Shot MultiBox Detector, 2016, arXiv:1512.02325."""

from __future__ import annotations

from torch import Tensor, nn

from examples.networks.layers import convolution, scaled, separable


class SSD(nn.Module):
    """A MobileNetV1 with heads for boxes and classes on six of its resolutions.

    Heads are separable convolutions. Decoding of boxes and suppression of overlaps are left to the
    host.
    """

    def __init__(self, *, anchors: int = 6, width: float = 1.0, classes: int = 21) -> None:
        super().__init__()
        w = [scaled(n, width) for n in (32, 64, 128, 256, 512, 1024)]
        self.stages = nn.ModuleList(
            [
                nn.Sequential(
                    convolution(3, w[0], 3, stride=2),
                    separable(w[0], w[1]),
                    separable(w[1], w[2], stride=2),
                    separable(w[2], w[2]),
                    separable(w[2], w[3], stride=2),
                    separable(w[3], w[3]),
                    separable(w[3], w[4], stride=2),
                    *(separable(w[4], w[4]) for _ in range(5)),
                ),
                nn.Sequential(separable(w[4], w[5], stride=2), separable(w[5], w[5])),
            ]
        )
        channels = [w[4], w[5]]
        for base in (512, 256, 256, 128):
            outputs = scaled(base, width)
            self.stages.append(
                nn.Sequential(
                    convolution(channels[-1], outputs // 2),
                    separable(outputs // 2, outputs, stride=2),
                )
            )
            channels.append(outputs)
        self.heads = nn.ModuleList(
            nn.Sequential(convolution(n, n, 3, groups=n), nn.Conv2d(n, anchors * (4 + classes), 1))
            for n in channels
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return boxes and logits of every anchor, for each resolution."""
        results = []
        for stage, head in zip(self.stages, self.heads, strict=True):
            x = stage(x)
            results.append(head(x))
        return tuple(results)
