"""Fourier transforms and complex numbers; modules for one image; constants that outrank tensors."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tilewright as tw
from tests.compiler.importers.on_engine import check_on_engine
from tests.compiler.importers.test_idioms import ENGINE, Block, R
from tilewright.compiler.importers.export import import_module, outputs_of, prove, prove_equal
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.passes import balanced, normalized, prepared

SEED = 816
HALF = {"norm": "ortho", "dim": (-2, -1)}
fft = torch.fft


def convolved_by_unit(m, x):
    """Do a pointwise layer with real and imaginary parts."""
    z = torch.view_as_real(fft.rfft2(x, **HALF)).permute(0, 1, 4, 2, 3).flatten(1, 2)
    z = m.inner(z).unflatten(1, (8, 2))
    return fft.irfft2(torch.complex(z[:, :, 0], z[:, :, 1]), s=(4, 4), **HALF)


KINDS = {
    "filter": (
        lambda m, x: fft.irfft2(fft.rfft2(x, **HALF) * m.w, s=(4, 4), **HALF),
        {"w": R(8, 4, 3, dtype=torch.cfloat)},
    ),
    "filter of tokens": (
        lambda m, x: fft.irfft(
            fft.rfft(x.flatten(2).mT, n=32, dim=1) * fft.rfft(m.w, n=32, dim=0), n=32, dim=1
        )[:, :16],
        {"w": R(16, 8)},
    ),
    "layer between": (convolved_by_unit, {"inner": nn.Conv2d(16, 16, 1)}),
    "gate in frequencies": (
        lambda m, x: fft.irfft2((f := fft.rfft2(x)) * torch.sigmoid(f.abs() / 9), s=(4, 4)),
        {},
    ),
    "all, back and forth": (
        lambda m, x: fft.ifft2(fft.fftshift(fft.fft2(x.to(torch.cfloat)), dim=(2, 3)) * m.w).real,
        {"w": R(4, 4)},
    ),
    "conjugate": (lambda m, x: (fft.fft(x) * fft.fft(x.relu()).conj()).imag, {}),
    "spectrum": (lambda m, x: fft.rfft(x.flatten(2)).abs(), {}),
    "one matrix each": (lambda m, x: torch.einsum("ngchw,gcd->ngdhw", x.unflatten(1, (2, 4)), m.w),
                        {"w": R(2, 4, 4)}),
    "padded for maxima": (
        lambda m, x: F.max_pool2d(F.pad(x, (0, 1, 2, 0), value=float("-inf")), 3, 2), {},
    ),
    "kernels of each pixel": (
        lambda m, x: torch.einsum(
            "nkhw,nckhw->nchw", x.softmax(1), F.pad(x, (1,) * 4).unfold(2, 3, 1).unfold(3, 3, 1)
            .reshape(-1, 8, 4, 4, 9).permute(0, 1, 4, 2, 3)[:, :, :8]
        ), {},
    ),
}  # fmt: skip


def imported_graph(model, images):
    imported = import_module(model, [images])
    prove(model, imported, [images])
    graph = normalized(balanced(prepared(imported.graph), {}))
    prove_equal(graph, outputs_of(model, [images]), [images])
    return graph


@pytest.mark.parametrize("kind", KINDS)
def test_graph_is_the_module(kind) -> None:
    torch.manual_seed(SEED)
    body, parts = KINDS[kind]
    assert imported_graph(Block(body, **parts).eval(), torch.randn(4, 3, 4, 4)).ops


@pytest.mark.parametrize("kind", ["filter", "layer between", "padded for maxima"])
def test_kind_runs_on_the_engine(kind) -> None:
    torch.manual_seed(SEED)
    body, parts = KINDS[kind]
    check_on_engine(Block(body, **parts).eval(), torch.randn(4, 3, 4, 4), ENGINE, 25, kind)


def test_a_filter_in_frequencies_is_one_convolution() -> None:
    torch.manual_seed(SEED)
    body, parts = KINDS["filter"]
    graph = imported_graph(Block(body, **parts).eval(), torch.randn(4, 3, 4, 4))
    layers = [op for op in graph.ops if isinstance(op, q.Conv) and not op.moves]
    assert [op.weight.shape for op in layers] == [(8, 3, 3, 3), (8, 1, 4, 4)]


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers(kind) -> None:
    """Their first state has the batch second: it was taken for the first dimension."""
    torch.manual_seed(SEED)

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells = getattr(nn, kind)(4, 3, batch_first=True, bidirectional=kind == "LSTM")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.cells(x)[0]

    assert imported_graph(Recurrent().eval(), torch.randn(3, 4, 4)).ops


ALONE = {
    "its own kernels": lambda m, x: F.conv2d(x, m.w * torch.sigmoid(x.mean((2, 3)))[0][:, None,
                                                                               None, None]),
    "no batch": lambda m, x: m.inner(x.squeeze(0).mean((1, 2)))[None],
    "a loop": lambda m, x: torch.stack([F.relu(m.inner(t.mean((1, 2)))) for t in x]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ALONE)
def test_modules_for_one_image(kind) -> None:
    torch.manual_seed(SEED)
    model = Block(ALONE[kind], w=R(8, 8, 1, 1), inner=nn.Linear(8, 4)).eval()
    images = torch.randn(1, 3, 4, 4)
    assert imported_graph(model, images).ops
    if kind != "no batch":  # which does not run with more
        with pytest.raises(tw.UnsupportedError, match=r"batch|images"):
            import_module(model, [torch.cat([images] * 4)])


def test_padding_with_infinity_is_for_maxima() -> None:
    body = functools.partial(lambda m, x: F.relu(F.pad(x, (1, 1), value=float("-inf"))))
    with pytest.raises(tw.UnsupportedError, match="what is not a maximum"):
        import_module(Block(body).eval(), [torch.randn(2, 3, 4, 4)])
