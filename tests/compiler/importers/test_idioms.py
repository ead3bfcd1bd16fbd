"""Idioms of float code: batches folded into windows and heads, orders, masks, computed weights.

The graph is held against the module for all of them, and the integers for some.
"""

import functools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tilewright as tw
from tests.compiler.importers.on_engine import check_on_engine
from tilewright.compiler.importers.export import import_module, outputs_of, prove, prove_equal
from tilewright.compiler.quantized.passes import balanced, normalized, prepared

SEED = 815
ENGINE = tw.EngineConfig(rows=4, cols=4, weight_depth=4096, act_depth=2048, tables=2)
R = functools.partial(torch.randn, generator=torch.Generator().manual_seed(SEED))
C = 8
torch.set_num_threads(1)


class Block(nn.Module):
    """A convolution of (3, 4, 4), and what is to be tried."""

    def __init__(self, body: Callable[..., object], **parts: object) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv2d(3, C, 3, padding=1), body
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, Tensor) else part)

    def forward(self, x: Tensor) -> object:
        return self.body(self, self.stem(x))


def windows(x: Tensor) -> Tensor:
    """Return windows of 2 x 2 pixels as images of their own, (N * 4, C, 2, 2)."""
    return x.view(-1, C, 2, 2, 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(-1, C, 2, 2)


def joined(x: Tensor) -> Tensor:
    return x.view(-1, 2, 2, C, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(-1, C, 4, 4)


def shifted(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, :4, 1:] = x[:, :4, :-1]
    y[:, 4:] = x[:, 4:]
    return y


def grouped(m: nn.Module, x: Tensor) -> Tensor:
    """Convolve each image with its own mixture of kernels, in groups (1, N * C, H, W)."""
    share = torch.sigmoid(m.route(x.mean((2, 3))))
    weight = (share @ m.kernels.flatten(1)).view(-1, C, 3, 3)
    y = F.conv2d(x.reshape(1, -1, 4, 4), weight, padding=1, groups=x.shape[0])
    return y.view(-1, C, 4, 4)


def pair_of(m: nn.Module, x: Tensor) -> Tensor:
    """Run one layer on two batches at once."""
    y = m.conv(torch.cat([x, x.flip(3)], 0))
    return y[: x.shape[0]] + y[x.shape[0] :]


def tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def attended(m: nn.Module, x: Tensor) -> Tensor:
    qkv = m.qkv(tokens(x)).view(-1, 16, 3, 2, 4).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(*qkv.unbind(0), **m.options).transpose(1, 2).flatten(2)


CONV = {"conv": nn.Conv2d(C, C, 3, padding=1)}
BATCHES: dict[str, tuple[Callable[..., object], dict[str, object]]] = {
    "windows": (lambda m, x: joined(m.conv(windows(x))), CONV),
    "windows, norm and pool": (
        lambda m, x: F.max_pool2d(m.norm(windows(x)), 2).view(-1, 4, C).mean(1),
        {"norm": nn.BatchNorm2d(C)},
    ),
    "windows, transposed and group norm": (
        lambda m, x: m.norm(m.up(windows(x))).view(-1, 4 * C, 4, 4),
        {"up": nn.ConvTranspose2d(C, C, 2, 2, groups=2), "norm": nn.GroupNorm(2, C)},
    ),
    "channels as images": (
        lambda m, x: m.conv(x.view(-1, 1, 16)).view(-1, C, 4, 4),
        {"conv": nn.Conv1d(1, 1, 3, padding=1)},
    ),
    "norm of tokens": (
        lambda m, x: (lambda y: m.norm(y.flatten(0, 1)).view_as(y))(m.fc(tokens(x))),
        {"fc": nn.Linear(C, 6), "norm": nn.BatchNorm1d(6)},
    ),
    "sequence first": (
        lambda m, x: m.mha(*[x.flatten(2).permute(2, 0, 1)] * 3)[0].permute(1, 2, 0),
        {"mha": nn.MultiheadAttention(C, 2)},
    ),
    "encoder layer": (
        lambda m, x: m.layer(tokens(x)),
        {"layer": nn.TransformerEncoderLayer(C, 2, 16, batch_first=True, norm_first=True)},
    ),
    "heads first": (attended, {"qkv": nn.Linear(C, 3 * C), "options": {}}),
    "two batches": (pair_of, CONV),
    "stacked": (
        lambda m, x: torch.stack([m.conv(x), x]).max(0)[0] + torch.stack([x, m.conv(x)]).mean(0),
        CONV,
    ),
    "own weights": (grouped, {"route": nn.Linear(C, 3), "kernels": R(3, C, C, 3, 3) / 8}),
}
ORDERS: dict[str, tuple[Callable[..., object], dict[str, object]]] = {
    "channels become pixels": (
        lambda m, x: m.fc(x.flatten(2)).transpose(1, 2),
        {"fc": nn.Linear(16, 6)},
    ),
    "one factor per channel, by a sequence": (
        lambda m, x: x * m.conv(x.mean((2, 3))[:, None]).sigmoid().view(-1, C, 1, 1).expand_as(x),
        {"conv": nn.Conv1d(1, 1, 3, padding=1)},
    ),
    "anchors": (
        lambda m, x: (
            lambda y: torch.cat([y[..., :2] * 2 - 0.5 + m.grid, y[..., 2:] ** 2 * m.size], -1)
        )(x.view(-1, 2, 4, 4, 4).permute(0, 1, 3, 4, 2).sigmoid()),
        {"grid": R(1, 1, 4, 4, 2), "size": R(1, 2, 1, 1, 2)},
    ),
    "sum of the last dimension": (
        lambda m, x: (torch.stack([x, F.interpolate(x[..., ::2, ::2], size=(4, 4))], -1) * m.w).sum(
            -1
        ),
        {"w": R(2)},
    ),
    "unshuffled by 4": (
        lambda m, x: m.fc(F.pixel_unshuffle(x, 4)),
        {"fc": nn.Conv2d(16 * C, 5, 1)},
    ),
    "rows and columns swapped": (lambda m, x: m.conv(x.transpose(2, 3)) + x, CONV),
    "constant on the left": (lambda m, x: m.a @ x @ m.a.T, {"a": R(4, 4)}),
    "fold": (
        lambda m, x: F.fold(F.unfold(x, 3, padding=1, stride=2), (4, 4), 3, padding=1, stride=2),
        {},
    ),
    # Was put in order element by element, for which CARAFE's memory did not suffice.
    "windows of what was enlarged": (
        lambda m, x: m.fc(
            F.unfold(F.interpolate(x, scale_factor=2), 3, dilation=2, padding=2).view(-1, 72, 8, 8)
        ),
        {"fc": nn.Conv2d(72, 5, 1)},
    ),
    "padding of ones": (lambda m, x: m.conv(F.pad(x, (1, 0, 1, 2), value=1.0)), CONV),
    "written in place": (lambda m, x: m.conv(shifted(x)), CONV),
    "antialiased": (
        lambda m, x: F.interpolate(x, size=(3, 3), mode="bilinear", antialias=True),
        {},
    ),
    "one of a vector": (
        lambda m, x: F.softmax(m.fc(x.mean((2, 3))), 1)[:, 1, None, None, None] * x,
        {"fc": nn.Linear(C, 3)},
    ),
}
FUNCTIONS: dict[str, tuple[Callable[..., object], dict[str, object]]] = {
    "gated half": (lambda m, x: F.glu(x, 1), {}),
    "where": (lambda m, x: torch.where(x > 0.1, x, 0.2 * x), {}),
    "where, constant": (
        lambda m, x: torch.where(torch.arange(4) > 1, x, torch.ones_like(x)),
        {},
    ),
    "filled": (lambda m, x: x.masked_fill(torch.eye(4, dtype=torch.bool), 0.5), {}),
    "maximum of channels": (lambda m, x: x.view(-1, 4, 2, 4, 4).max(2).values, {}),
    "least": (lambda m, x: x.min(1, keepdim=True)[0] - x, {}),
    "deviation": (lambda m, x: torch.cat([x.std((2, 3)), x.var(dim=(2, 3), correction=0)], 1), {}),
    "product of channels": (lambda m, x: x.view(-1, 2, 4, 4, 4).prod(1), {}),
    "interpolated by a map": (lambda m, x: torch.lerp(x, m.conv(x), torch.sigmoid(x)), CONV),
    "similarity": (
        lambda m, x: F.cosine_similarity(x.flatten(1), m.conv(x).flatten(1), dim=1),
        CONV,
    ),
    "masked attention": (
        attended,
        {"qkv": nn.Linear(C, 3 * C), "options": {"is_causal": True}},
    ),
    "attention with a bias": (
        attended,
        {"qkv": nn.Linear(C, 3 * C), "options": {"attn_mask": R(16, 16)}},
    ),
    "true and false": (lambda m, x: x > 0.1, {}),
    "nothing besides": (lambda m, x: {"out": m.conv(x), "aux": None}, CONV),
}
KINDS = BATCHES | ORDERS | FUNCTIONS
ON_THE_ENGINE = [
    "windows", "norm of tokens", "heads first", "stacked", "own weights", "channels become pixels",
    "one factor per channel, by a sequence", "anchors", "padding of ones", "where",
    "windows of what was enlarged",
]  # fmt: skip


def block_of(kind: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(SEED)
    body, parts = KINDS[kind]
    return Block(body, **parts).eval(), torch.randn(4, 3, 4, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_graph_is_the_module(kind) -> None:
    model, images = block_of(kind)
    imported = import_module(model, [images])
    prove(model, imported, [images])
    graph = normalized(balanced(prepared(imported.graph), {}))
    prove_equal(graph, outputs_of(model, [images]), [images])
    assert graph.ops


@pytest.mark.parametrize("kind", ON_THE_ENGINE)
def test_idiom_runs_on_the_engine(kind) -> None:
    model, images = block_of(kind)
    check_on_engine(model, images, ENGINE, 25, f"{kind}, seed {SEED}")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda m, x: x.flatten(2).permute(2, 0, 1), "batch is not the first dimension"),
        (lambda m, x: x - x.mean(0, keepdim=True), "mean over the batch"),
        (lambda m, x: F.conv2d(x, x[:, :, :3, :3], padding=1), "the kernels of one image"),
        (lambda m, x: F.pad(x, (1, 1), value=float("inf")), "padding with the value inf"),
    ],
)
def test_what_mixes_images_is_refused(body, message) -> None:
    torch.manual_seed(SEED)
    with pytest.raises(tw.UnsupportedError, match=message):
        import_module(Block(body).eval(), [torch.randn(4, 3, 4, 4)])
