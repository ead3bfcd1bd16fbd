"""Float code as its authors write it: every kind of operator, on the engine, against the module."""

import functools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tilewright as tw
from tests.compiler.importers.on_engine import check_on_engine

SEED = 4711
ENGINE = tw.EngineConfig(rows=4, cols=4, weight_depth=4096, act_depth=2048, tables=2)
torch.set_num_threads(1)
C = 8


class Block(nn.Module):
    """A convolution, what is to be tried, and a convolution of one tap."""

    def __init__(self, body: Callable[[nn.Module, Tensor], Tensor], **parts: object) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv2d(3, C, 3, padding=1), body
        for name, part in parts.items():
            value = nn.Parameter(part) if isinstance(part, Tensor) else part
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self, self.stem(x))


def norm(channels: int = C, **options: object) -> nn.BatchNorm2d:
    module = nn.BatchNorm2d(channels, **options)
    nn.init.normal_(module.running_mean, 0, 0.2)
    nn.init.uniform_(module.running_var, 0.2, 1)
    return module


R = functools.partial(torch.randn, generator=torch.Generator().manual_seed(SEED))
KINDS: dict[str, tuple[Callable[[nn.Module, Tensor], Tensor], dict[str, object]]] = {
    "half, minus, over": (lambda m, x: (x * 0.5 - 0.25) / 2, {}),
    "one minus": (lambda m, x: 1 - x, {}),
    "square": (lambda m, x: x**2, {}),
    "learned scale and bias": (
        lambda m, x: m.scale * x + m.bias,
        {"scale": R(C, 1, 1), "bias": R(1, C, 1, 1)},
    ),
    "map of constants": (lambda m, x: x + m.place, {"place": R(1, C, 8, 8)}),
    "swish, written out": (lambda m, x: x * torch.sigmoid(x), {}),
    "hard swish, written out": (lambda m, x: x * F.relu6(x + 3) / 6, {}),
    "squared ReLU": (lambda m, x: m.s * torch.relu(x) ** 2 + m.b, {"s": R(1), "b": R(1)}),
    "PReLU": (lambda m, x: m.act(x), {"act": nn.PReLU(C, init=0.3)}),
    "clamp, sigmoid, methods": (lambda m, x: x.clamp(-1, 1).sigmoid(), {}),
    "difference": (lambda m, x: x - m.conv(x), {"conv": nn.Conv2d(C, C, 1)}),
    "maximum": (lambda m, x: torch.maximum(x, m.conv(x)), {"conv": nn.Conv2d(C, C, 1)}),
    "minimum": (lambda m, x: torch.minimum(x, m.conv(x)), {"conv": nn.Conv2d(C, C, 1)}),
    "batch norm alone": (lambda m, x: m.norm(F.relu(x)), {"norm": norm(affine=False)}),
    "batch norm, padding": (
        lambda m, x: m.conv(m.norm(x)),
        {"norm": norm(), "conv": nn.Conv2d(C, C, 3, padding=1)},
    ),
    "grouped transposed, norm": (
        lambda m, x: m.norm(m.up(x)),
        {"up": nn.ConvTranspose2d(C, C, 4, 2, 1, groups=2), "norm": norm()},
    ),
    "weight norm": (
        lambda m, x: m.conv(x),
        {"conv": nn.utils.parametrizations.weight_norm(nn.Conv2d(C, C, 3))},
    ),
    "computed weights": (
        lambda m, x: F.conv2d(x, torch.kron(m.a, m.w), padding="same"),
        {"a": R(2, 2, 1, 1), "w": R(C // 2, C // 2, 3, 3)},
    ),
    "gate": (
        lambda m, x: x * m.fc(x.mean(dim=(2, 3))).sigmoid().view(-1, C, 1, 1),
        {"fc": nn.Linear(C, C)},
    ),
    "sizes": (lambda m, x: x.reshape(x.shape[0], x.size()[1], -1).mean(-1), {}),
    "unpacked sizes": (lambda m, x: (lambda b, c, h, w: x.view(b, c, h * w))(*x.shape), {}),
    "channels last": (
        lambda m, x: m.fc(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
        {"fc": nn.Linear(C, 6)},
    ),
    "shuffle by views": (
        lambda m, x: x.view(-1, 2, C // 2, 8, 8).transpose(1, 2).flatten(1, 2),
        {},
    ),
    "focus": (
        lambda m, x: torch.cat([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)], 1),
        {},
    ),
    "slices": (lambda m, x: x[:, 1:7, 1:-1, ::2], {}),
    "twice, scaled in two ways": (
        lambda m, x: m.norm(torch.cat([x, x], 1)),
        {"norm": norm(2 * C)},
    ),
    "roll": (lambda m, x: torch.roll(x, (1, -2), (2, 3)), {}),
    "rows put together": (lambda m, x: torch.cat([x[:, :, 4:], x[:, :, :4].relu()], 2), {}),
    "causal": (lambda m, x: m.conv(F.pad(x, (2, 0))), {"conv": nn.Conv2d(C, C, (1, 3))}),
    **{
        f"padding {mode}": (
            lambda m, x: m.conv(x),
            {"conv": nn.Conv2d(C, C, 3, padding=1, padding_mode=mode)},
        )
        for mode in ("reflect", "replicate", "circular")
    },
    "bilinear": (lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear"), {}),
    "bilinear, corners": (
        lambda m, x: F.interpolate(x, (11, 12), mode="bilinear", align_corners=True),
        {},
    ),
    "nearest": (lambda m, x: F.interpolate(x, (11, 16)), {}),
    "one pixel to many": (
        lambda m, x: F.interpolate(F.adaptive_avg_pool2d(x, 1), (8, 8), mode="bilinear") + x,
        {},
    ),
    "adaptive pools": (lambda m, x: F.adaptive_avg_pool2d(x, (3, 5)), {}),
    "adaptive maxima": (lambda m, x: F.adaptive_max_pool2d(x, (3, 4)), {}),
    "pool without padding's zeros": (
        lambda m, x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
        {},
    ),
    "pools with ceil_mode": (
        lambda m, x: F.avg_pool2d(F.max_pool2d(x, 3, 2, ceil_mode=True), 3, 2, ceil_mode=True),
        {},
    ),
    "sequence": (
        lambda m, x: F.avg_pool1d(F.max_pool1d(m.conv(x.flatten(2)), 2), 2).flatten(1),
        {"conv": nn.Conv1d(C, C, 3, padding="same")},
    ),
    "volume": (
        lambda m, x: m.conv(x.unflatten(1, (2, 4))).flatten(1, 2),
        {"conv": nn.Conv3d(2, 2, 3, padding=1)},
    ),
    "sum of one pixel": (lambda m, x: x + x.amax((2, 3), keepdim=True), {}),
    "over channels": (lambda m, x: torch.cat([x.mean(1, True), x.amax(1, True)], 1), {}),
    "norm of a group": (lambda m, x: m.norm(x), {"norm": nn.GroupNorm(2, C)}),
    "product of maps": (lambda m, x: x * torch.sigmoid(m.g(x)), {"g": nn.Conv2d(C, C, 1)}),
    "dropouts": (lambda m, x: F.alpha_dropout(F.dropout(x, 0.5, False), 0.5, False).relu(), {}),
    "in place": (lambda m, x: F.relu(x, inplace=True).add_(1.0).mul_(0.5), {}),
    "in place of a part": (lambda m, x: _overwritten(x), {}),
    "causal, longer than the sequence": (
        lambda m, x: m.conv(F.pad(x.flatten(2), (600, 0))),
        {"conv": nn.Conv1d(C, C, 301, dilation=2, groups=C)},
    ),
    "long kernel": (
        lambda m, x: m.conv(x.flatten(2)),
        {"conv": nn.Conv1d(C, C, 301, padding=150, groups=C)},
    ),
}


def _overwritten(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :2] += 1.0
    return y


@pytest.mark.parametrize("kind", KINDS)
def test_float_code_runs_on_the_engine(kind) -> None:
    torch.manual_seed(SEED)
    body, parts = KINDS[kind]
    model, images = Block(body, **parts).eval(), torch.randn(4, 3, 8, 8)
    check_on_engine(model, images, ENGINE, 27, f"{kind}, seed {SEED}")
