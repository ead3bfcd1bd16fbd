"""ResNet: He et al., Deep Residual Learning for Image Recognition, 2015, arXiv:1512.03385."""

from __future__ import annotations

from torch import Tensor, nn

from examples.networks.layers import classifier, convolution, scaled


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return what passes a block: its input, by a 1x1 convolution where the shape changes."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return convolution(inputs, outputs, 1, stride=stride, activation=None)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    #: Channels of the result for each of the convolutions'.
    EXPANSION = 1

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, channels, 3, stride=stride)
        self.conv2 = convolution(channels, channels, 3, activation=None)
        self.shortcut = _shortcut(inputs, channels, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature map."""
        return self.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


class Bottleneck(nn.Module):
    """A 3x3 convolution between 1x1 ones to fewer channels and to more, and a shortcut.

    The 3x3 convolution has the stride, as in most implementations; in the paper, the first 1x1 has.
    """

    EXPANSION = 4

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        outputs = self.EXPANSION * channels
        self.conv1 = convolution(inputs, channels)
        self.conv2 = convolution(channels, channels, 3, stride=stride)
        self.conv3 = convolution(channels, outputs, activation=None)
        self.shortcut = _shortcut(inputs, outputs, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature map."""
        return self.relu(self.conv3(self.conv2(self.conv1(x))) + self.shortcut(x))


class ResNet(nn.Module):
    """The variant for ImageNet: ``(2, 2, 2, 2)`` basic blocks are ResNet-18.

    ``(3, 4, 6, 3)`` bottlenecks are ResNet-50.

    Parameters
    ----------
    block : of which kind
    blocks : in each of the stages, which halve the resolution but for the first
    width : factor of all channels
    """

    def __init__(
        self,
        *,
        block: type[BasicBlock | Bottleneck] = BasicBlock,
        blocks: tuple[int, ...] = (2, 2, 2, 2),
        width: float = 1.0,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        channels = scaled(64, width)
        self.stem = convolution(3, channels, 7, stride=2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        stages: list[nn.Module] = []
        for stage, count in enumerate(blocks):
            own = scaled(64 * 2**stage, width)
            for index in range(count):
                stride = 2 if stage and not index else 1
                stages.append(block(channels, own, stride))
                channels = block.EXPANSION * own
        self.blocks = nn.Sequential(*stages)
        self.head = classifier(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.blocks(self.pool(self.stem(x))))
