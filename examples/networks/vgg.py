"""VGG: Simonyan and Zisserman, 2014, arXiv:1409.1556, configuration D, with batch norms."""

from __future__ import annotations

from torch import Tensor, nn

from examples.networks.layers import convolution, scaled


class VGG16(nn.Module):
    """Thirteen 3x3 convolutions and three linear layers, the first with 25,088 inputs.

    As in most implementations, the last feature map is averaged to 7 x 7, which at 224 x 224 it is.
    """

    # Channels, and convolutions before each pooling.
    STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    LAST = 7

    def __init__(self, *, width: float = 1.0, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for base, count in self.STAGES:
            for _ in range(count):
                layers.append(convolution(channels, scaled(base, width), 3))
                channels = scaled(base, width)
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(self.LAST)
        hidden = scaled(4096, width)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * self.LAST**2, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.pool(self.features(x)))
