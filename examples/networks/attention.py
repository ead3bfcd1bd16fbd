"""Networks of attention beside convolutions.

CvT: Wu et al., 2021, arXiv:2103.15808. MOAT: Yang et al., 2022, arXiv:2210.01820.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from examples.networks.layers import Branch, ChannelNorm, classifier, convolution, scaled


def _attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Return each pixel's mean (N, C, H * W) of ``value``'s pixels, by shares of every head."""
    size = query.shape[1]
    query, key, value = (x.flatten(2).unflatten(1, (heads, -1)) for x in (query, key, value))
    scores = query.transpose(-1, -2) @ key / math.sqrt(size)
    return (value @ scores.softmax(-1).transpose(-1, -2)).flatten(1, 2)


def _projection(channels: int, stride: int) -> nn.Sequential:
    """Return CvT's projection: a 3x3 depthwise convolution, a norm, and a linear layer."""
    return nn.Sequential(
        convolution(channels, channels, 3, stride=stride, groups=channels, activation=None),
        nn.Flatten(2),
        _Turned(),
        nn.Linear(channels, channels),
        _Turned(),
    )


class _Turned(nn.Module):
    """Exchanges channels and tokens."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, L, C) of (N, C, L), or the other way round."""
        return x.transpose(1, 2)


class ConvolutionalAttention(nn.Module):
    """Attention of all pixels to a quarter of them."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = _projection(channels, 1)
        self.key, self.value = _projection(channels, 2), _projection(channels, 2)
        self.leave = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        y = _attend(self.query(x), self.key(x), self.value(x), self.heads)
        return self.leave(y.unflatten(2, x.shape[2:]))


def _transformer(channels: int, heads: int) -> nn.Sequential:
    """Return attention and two layers between channels, each behind a norm, beside a shortcut."""
    return nn.Sequential(
        Branch(ChannelNorm(channels), ConvolutionalAttention(channels, heads)),
        Branch(
            ChannelNorm(channels),
            nn.Conv2d(channels, 4 * channels, 1),
            nn.GELU(),
            nn.Conv2d(4 * channels, channels, 1),
        ),
    )


class CvT(nn.Sequential):
    """The first two stages of CvT-13, one and two blocks, and a classifier on the pixels' mean.

    Heads have 64 channels; the paper has a third stage, of ten blocks.
    """

    def __init__(
        self,
        *,
        channels: tuple[int, ...] = (64, 192),
        depths: tuple[int, ...] = (1, 2),
        width: float = 1.0,
        classes: int = 1000,
    ) -> None:
        layers: list[nn.Module] = []
        inputs, heads = 3, [base // 64 for base in channels]
        for stage, (base, depth) in enumerate(zip(channels, depths, strict=True)):
            outputs = scaled(base, width, 8 * heads[stage])
            kernel, stride = (3, 2) if stage else (7, 4)
            layers += [
                nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), ChannelNorm(outputs),
                *(_transformer(outputs, heads[stage]) for _ in range(depth)),
            ]  # fmt: skip
            inputs = outputs
        super().__init__(*layers, classifier(inputs, classes))


class _MobileConvolution(nn.Module):
    """An inverted residual block behind a batch norm; the first of a stage halves the size."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 4 * outputs
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            convolution(inputs, wide, activation=nn.GELU),
            convolution(wide, wide, 3, stride=stride, groups=wide, activation=nn.GELU),
            nn.Conv2d(wide, outputs, 1),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.AvgPool2d(stride), nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature map."""
        return self.shortcut(x) + self.body(x)


class _SelfAttention(nn.Module):
    """Attention between all pixels behind a layer norm, beside a shortcut."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, ChannelNorm(channels)
        self.enter = nn.Conv2d(channels, 3 * channels, 1)
        self.leave = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        y = _attend(*self.enter(self.norm(x)).chunk(3, 1), self.heads)
        return x + self.leave(y.unflatten(2, x.shape[2:]))


class MOAT(nn.Sequential):
    """A stage of mobile convolutions, and one of these with attention in turn.

    The size called tiny-0, of heads of 32 channels, without its second and last stages.
    """

    def __init__(self, *, width: float = 1.0, classes: int = 1000) -> None:
        first, second = scaled(32, width), scaled(128, width, 32)
        heads = 4
        super().__init__(
            convolution(3, first, 3, stride=2, activation=nn.GELU),
            nn.Conv2d(first, first, 3, padding=1),
            _MobileConvolution(first, first, 2),
            _MobileConvolution(first, first, 1),
            _MobileConvolution(first, second, 2),
            _SelfAttention(second, heads),
            _MobileConvolution(second, second, 1),
            _SelfAttention(second, heads),
            classifier(second, classes),
        )
