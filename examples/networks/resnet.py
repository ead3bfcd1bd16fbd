"""ResNet: He et al., Deep Residual Learning for Image Recognition, 2015, arXiv:1512.03385."""

from __future__ import annotations

from torch import Tensor, nn

from examples.networks.layers import classifier, convolution, scaled


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride=stride)
        self.conv2 = convolution(outputs, outputs, 3, activation=None)
        same = inputs == outputs and stride == 1
        self.shortcut = (
            nn.Identity()
            if same
            else convolution(inputs, outputs, 1, stride=stride, activation=None)
        )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature map."""
        return self.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


class ResNet(nn.Module):
    """The variant for ImageNet with basic blocks; ``(2, 2, 2, 2)`` blocks are ResNet-18.

    Parameters
    ----------
    blocks : in each of the stages, which halve the resolution but for the first
    width : factor of all channels
    """

    def __init__(
        self, *, blocks: tuple[int, ...] = (2, 2, 2, 2), width: float = 1.0, classes: int = 1000
    ) -> None:
        super().__init__()
        channels = scaled(64, width)
        self.stem = convolution(3, channels, 7, stride=2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        stages: list[nn.Module] = []
        for stage, count in enumerate(blocks):
            outputs = scaled(64 * 2**stage, width)
            for block in range(count):
                stride = 2 if stage and not block else 1
                stages.append(BasicBlock(channels, outputs, stride))
                channels = outputs
        self.blocks = nn.Sequential(*stages)
        self.head = classifier(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.blocks(self.pool(self.stem(x))))
