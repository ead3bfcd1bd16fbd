"""Random float networks: shared weights and norms, splits, concatenations, scalars, functions.

Rounding a Gaussian tensor to 8 bits leaves 40.6 dB at best, that of weights some 45. So a chain of
ten tensors without anything in common is at 30 dB even if every channel has its best grid, and no
quantizer makes it better. So networks here have eight steps and more, but only ``ROUNDINGS`` of
them (and ``SUMS`` sums), besides the first and the last convolution, make all of a tensor anew.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor, nn

CHANNELS = 8
SIZE = 8
ROUNDINGS, SUMS = 2, 1
ACTIVATIONS = (
    F.relu, F.relu6, F.silu, F.gelu, F.hardswish, torch.tanh, lambda x: x,
    lambda x: x * torch.sigmoid(x), lambda x: F.leaky_relu(x, 0.1), lambda x: torch.relu(x + 0.2),
)  # fmt: skip
CURVED = (2, 3, 4, 5, 7, 8)
"""Those that are tables, with a rounding before and one behind."""
KINDS = (
    *("conv", "shared conv and norm", "cat and norm", "function", "norm", "gate"),
    *("cat", "split", "sum", "scalar", "pool", "roll"),
)


@dataclass(frozen=True)
class Step:
    """One step: its kind, the tensors it reads (counted from the last), and a number."""

    kind: str
    a: int
    b: int
    option: int


def _norm(channels: int, generator: torch.Generator) -> nn.BatchNorm2d:
    """Return a batch norm with an eps, factors and offsets of its own."""
    module = nn.BatchNorm2d(channels, eps=float(torch.rand(1, generator=generator)) * 0.1 + 1e-5)
    module.momentum = None  # statistics are means over what it has seen
    with torch.no_grad():
        module.weight.copy_(torch.rand(channels, generator=generator) + 0.5)
        module.bias.copy_(torch.randn(channels, generator=generator) * 0.3)
    return module


class RandomModel(nn.Module):
    """Steps on a list of tensors (N, 8, 8, 8); each appends one, and a convolution ends it.

    Batch norms have the statistics of random images, as trained ones have those of their data.
    """

    def __init__(self, steps: list[Step], seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.steps = steps
        with torch.random.fork_rng(devices=()):  # biases are as PyTorch draws them
            torch.manual_seed(seed)
            self.stem = nn.Conv2d(3, CHANNELS, 3, padding=1)
            self.convs = nn.ModuleList(
                nn.Conv2d(CHANNELS, CHANNELS, k, padding=k // 2, groups=g, bias=b)
                for k, g, b in ((3, 1, False), (1, 1, True), (3, CHANNELS, False))
            )
            self.merge = nn.Conv2d(2 * CHANNELS, CHANNELS, 1)
        for conv in (self.stem, *self.convs, self.merge):
            with torch.no_grad():
                fan = conv.weight[0].numel()
                conv.weight.copy_(
                    torch.randn(conv.weight.shape, generator=generator) * (1.5 / fan) ** 0.5
                )
        self.own = nn.ModuleList(_norm(CHANNELS, generator) for _ in steps)
        self.shared = nn.ModuleList(_norm(CHANNELS, generator) for _ in range(3))
        self.wide = _norm(2 * CHANNELS, generator)
        with torch.no_grad():
            self.train()(torch.randn(32, 3, SIZE, SIZE, generator=generator))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Run the steps."""
        known = [F.relu(self.stem(x))]
        for step, norm in zip(self.steps, self.own, strict=True):
            known.append(
                self._step(step, norm, known[step.a % len(known)], known[step.b % len(known)])
            )
        return self.convs[0](known[-1])

    def _step(self, step: Step, norm: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        option = step.option
        convs, shared = self.convs[option % 3], self.shared[option % 2]
        act = ACTIVATIONS[option % len(ACTIVATIONS)]
        both = torch.cat([x, y], 1)
        match step.kind:
            case "conv":
                return act(norm(convs(x)))
            case "shared conv and norm":
                return act(shared(convs(x)))
            case "cat and norm":
                return act(norm(self.merge(self.wide(both) if option % 2 else both)))
            case "function":
                return act(x)
            case "cat":
                left, right = both.split([5, 11], 1)
                return torch.cat([left, right[:, -3:]], 1)
            case "split":
                left, right = x.chunk(2, 1)
                return torch.cat([right, F.relu(left)], 1)
            case "sum":
                return x + y if option % 2 else x - y * 0.25
            case "scalar":
                return (x * (0.5, 0.7, 1.3)[option % 3] - 0.1) / 1.1
            case "pool":
                return F.avg_pool2d(x, 3, 1, 1) if option % 2 else F.max_pool2d(x, 3, 1, 1)
            case "gate":
                return x * torch.sigmoid(y.mean((2, 3), keepdim=True))
            case "norm":
                return F.relu(self.shared[2](x))
            case "roll":
                return torch.roll(x, 3, 1) if option % 2 else x.flip(1)
        raise AssertionError(step.kind)


def random_steps(generator: random.Random) -> list[Step]:
    """Return the steps of a network of eight to ten, without hypothesis."""
    return tamed(
        [
            Step(
                generator.choice(KINDS),
                generator.choice((-1, -1, -1, -2, -3)),
                generator.choice((-1, -2, -3)),
                generator.randrange(30),
            )
            for _ in range(generator.randint(8, 10))
        ]
    )


@st.composite
def models(draw: Any) -> tuple[RandomModel, int]:
    """Draw a network of many steps, and its seed."""
    # Mostly the newest tensors: a chain, with branches.
    newest = st.sampled_from([-1, -1, -1, -2, -3])
    step = st.builds(
        Step, st.sampled_from(KINDS), newest, st.sampled_from([-1, -2, -3]), st.integers(0, 29)
    )
    steps = draw(st.lists(step, min_size=8, max_size=10))
    seed = draw(st.integers(0, 2**16))
    return RandomModel(tamed(steps), seed), seed


def _cost(step: Step) -> int:
    """How often a step rounds all of a tensor anew, on the way to its result."""
    curved = step.option % len(ACTIVATIONS) in CURVED
    match step.kind:
        case "conv" | "shared conv and norm":
            return 1 + 2 * curved
        case "cat and norm":
            return 2 + 2 * curved
        case "function" | "norm" | "gate":
            return 1
    return 0


def tamed(steps: list[Step]) -> list[Step]:
    """Turn all but the first layers and sums into steps that keep most of what they get."""
    result, made, sums = [], 0, 0
    for step in steps:
        cost = _cost(step)
        added = step.kind == "sum"
        if made + cost > ROUNDINGS or sums + added > SUMS:
            step = Step(("cat", "split", "scalar", "roll")[step.option % 4], -1, step.b, 1)
            cost, added = 0, False
        made, sums = made + cost, sums + added
        result.append(step)
    return result
