"""SCNN: Pan et al., Spatial as Deep, 2018, arXiv:1712.06080, behind a smaller backbone."""

from __future__ import annotations

from torch import Tensor, nn

from examples.networks.layers import convolution, scaled
from tilewright.nn import RecurrentConv


class SCNN(nn.Module):
    """Lane markings: messages from slice to slice in four directions, at an eighth of the size.

    The paper's backbone is VGG-16, and its logits are interpolated to the input's size.
    """

    DIRECTIONS = ("down", "up", "right", "left")

    def __init__(self, *, width: float = 1.0, classes: int = 5, taps: int = 9) -> None:
        super().__init__()
        first, second, third = (scaled(base, width) for base in (32, 64, 128))
        self.backbone = nn.Sequential(
            convolution(3, first, 3, stride=2),
            convolution(first, second, 3, stride=2),
            convolution(second, third, 3, stride=2),
            convolution(third, third, 3),
        )
        self.messages = nn.Sequential(*(RecurrentConv(third, taps, d) for d in self.DIRECTIONS))
        self.head = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(third, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, one for 8 x 8 pixels."""
        return self.head(self.messages(self.backbone(x)))
