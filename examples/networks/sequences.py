"""Gated short convolutions over sequences, as in LFM2: Amini et al., 2025, arXiv:2511.23404."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from examples.networks.layers import Branch, scaled


class GatedShortConv(nn.Module):
    """``c * conv(b * x)``: two gates around a causal depthwise convolution."""

    def __init__(self, channels: int, taps: int = 3) -> None:
        super().__init__()
        self.enter = nn.Linear(channels, 3 * channels, bias=False)
        self.conv = nn.Conv1d(
            channels, channels, taps, padding=taps - 1, groups=channels, bias=False
        )
        self.leave = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix a sequence (N, L, C)."""
        before, after, x = self.enter(x).transpose(1, 2).chunk(3, 1)
        y = after * self.conv(before * x)[..., : x.shape[-1]]
        return self.leave(y.transpose(1, 2))


class GatedExpansion(nn.Module):
    """SwiGLU: Shazeer, 2020, arXiv:2002.05202."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Linear(channels, 2 * channels, bias=False)
        self.enter = nn.Linear(channels, 2 * channels, bias=False)
        self.leave = nn.Linear(2 * channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels of each step."""
        return self.leave(F.silu(self.gate(x)) * self.enter(x))


class ShortConvolutions(nn.Module):
    """Gated short convolutions and expansions in turn, over frames of features (N, features, L).

    LFM2 has ten of both and six blocks of grouped attention, and looks tokens up in a table.
    """

    def __init__(
        self,
        *,
        features: int = 40,
        channels: int = 128,
        depth: int = 2,
        width: float = 1.0,
        classes: int = 64,
    ) -> None:
        super().__init__()
        inner = scaled(channels, width)
        self.embed = nn.Linear(features, inner)
        self.blocks = nn.Sequential(
            *(
                Branch(nn.RMSNorm(inner, eps=1e-5), layer(inner))
                for _ in range(depth)
                for layer in (GatedShortConv, GatedExpansion)
            )
        )
        self.head = nn.Sequential(nn.RMSNorm(inner, eps=1e-5), nn.Linear(inner, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, L, classes), of each step from those up to it."""
        return self.head(self.blocks(self.embed(x.transpose(1, 2))))
