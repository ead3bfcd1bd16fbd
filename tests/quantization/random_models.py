"""Random float networks: shared weights and norms, splits, concatenations, scalars, functions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor, nn

CHANNELS = 8
SIZE = 8
ACTIVATIONS = (
    F.relu, F.relu6, F.silu, F.gelu, torch.tanh, F.hardswish, lambda x: x * torch.sigmoid(x),
    lambda x: F.leaky_relu(x, 0.1), lambda x: torch.relu(x) ** 2,
)  # fmt: skip


def norm(channels: int, generator: torch.Generator) -> nn.BatchNorm2d:
    """Return a batch norm with statistics of its own."""
    module = nn.BatchNorm2d(channels, eps=float(torch.rand(1, generator=generator)) * 0.1 + 1e-5)
    with torch.no_grad():
        module.weight.copy_(torch.rand(channels, generator=generator) + 0.5)
        module.bias.copy_(torch.randn(channels, generator=generator) * 0.3)
        module.running_mean.copy_(torch.randn(channels, generator=generator) * 0.3)
        module.running_var.copy_(torch.rand(channels, generator=generator) + 0.3)
    return module


class RandomModel(nn.Module):
    """Steps on a list of tensors (N, 8, 8, 8); each appends one, and the last ones are added."""

    def __init__(self, steps: list[tuple[Any, ...]], seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.stem = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.convs = nn.ModuleList(
            nn.Conv2d(CHANNELS, CHANNELS, k, padding=k // 2, groups=g, bias=b)
            for k, g, b in ((3, 1, False), (1, 1, True), (3, CHANNELS, False))
        )
        self.norms = nn.ModuleList(norm(CHANNELS, generator) for _ in range(2))
        self.wide = norm(2 * CHANNELS, generator)
        self.merge = nn.Conv2d(2 * CHANNELS, CHANNELS, 1)
        for conv in (self.stem, *self.convs, self.merge):
            with torch.no_grad():
                fan = conv.weight[0].numel()
                conv.weight.copy_(
                    torch.randn(conv.weight.shape, generator=generator) * (1.5 / fan) ** 0.5
                )
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        """Run the steps."""
        known = [self.stem(x)]
        for kind, a, b, option in self.steps:
            x, y = known[a % len(known)], known[b % len(known)]
            match kind:
                case "conv":
                    known.append(self.convs[option % 3](x))
                case "conv and norm":
                    known.append(self.norms[option % 2](self.convs[option % 3](x)))
                case "norm":
                    known.append(self.norms[option % 2](x))
                case "function":
                    known.append(ACTIVATIONS[option % len(ACTIVATIONS)](x))
                case "cat":
                    z = torch.cat([x, y], 1)
                    known.append(self.merge(self.wide(z) if option % 2 else z))
                case "split":
                    left, right = x.chunk(2, 1)
                    known.append(torch.cat([right, F.relu(left)], 1))
                case "sum":
                    known.append(x + y if option % 2 else x - y * 0.5)
                case "scalar":
                    known.append((x * (0.5, -0.7, 1.3)[option % 3] - 0.25) / 1.1)
                case "pool":
                    known.append(
                        F.avg_pool2d(x, 3, 1, 1) if option % 2 else F.max_pool2d(x, 3, 1, 1)
                    )
                case "gate":
                    known.append(x * torch.sigmoid(y.mean((2, 3), keepdim=True)))
        return known[-1]


KINDS = (
    "conv", "conv and norm", "norm", "function", "cat", "split", "sum", "scalar", "pool", "gate",
)  # fmt: skip


@st.composite
def models(draw: Any) -> tuple[RandomModel, int]:
    """Draw a network of a few steps, and its seed."""
    number = st.integers(0, 11)
    # Mostly the newest tensors: a chain, with branches.
    newest = st.sampled_from([-1, -1, -1, -2, -3])
    step = st.tuples(st.sampled_from(KINDS), newest, st.sampled_from([-1, -2, -3]), number)
    steps = draw(st.lists(step, min_size=1, max_size=3))
    seed = draw(st.integers(0, 2**16))
    return RandomModel([*steps, ("conv", -1, -1, 0)], seed).eval(), seed
