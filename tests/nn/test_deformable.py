"""Deformable convolution in floats against onnxruntime, finite differences, and its options."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tilewright import Error
from tilewright.nn import DeformConv2d, DeformConv2dPack, deform_conv2d
from tilewright.nn.deformable import square_offsets

torch.set_num_threads(1)
VECTORS = np.load(Path(__file__).parent / "deform_conv2d.npz")
CASES = sorted({int(name.split(".")[0]) for name in VECTORS.files if name != "provenance"})


def vector(number, name):
    key = f"{number}.{name}"
    return torch.from_numpy(VECTORS[key]) if key in VECTORS.files else None


@pytest.mark.parametrize("number", CASES)
def test_equals_onnxruntime(number) -> None:
    names = ("x", "offset", "weight", "bias", "mask", "y")
    x, offset, weight, bias, mask, y = (vector(number, name) for name in names)
    sy, sx, py, px, dy, dx, groups, offset_groups = VECTORS[f"{number}.geometry"].tolist()
    got = deform_conv2d(
        x, offset, weight, bias, (sy, sx), (py, px), (dy, dx), mask,
        groups=groups, offset_groups=offset_groups,
    )  # fmt: skip
    assert got.shape == y.shape
    assert (got - y).abs().max() < 1e-12


def test_vectors_cover_every_option() -> None:
    geometry = np.array([VECTORS[f"{n}.geometry"] for n in CASES])
    for column in geometry.T:
        assert len(set(column)) > 1
    masked = [f"{n}.mask" in VECTORS.files for n in CASES]
    assert any(masked)
    assert not all(masked)


def test_offsets_of_zero_are_a_convolution() -> None:
    torch.manual_seed(0)
    layer = DeformConv2d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2).double()
    x = torch.randn(2, 4, 11, 9).double()
    plain = F.conv2d(x, layer.weight, layer.bias, 2, 1, 2, 2)
    offset = torch.zeros(2, 18, *plain.shape[2:]).double()
    assert torch.allclose(layer(x, offset), plain, atol=1e-13)


@pytest.mark.parametrize("masked", [False, True])
def test_gradients(masked) -> None:
    torch.manual_seed(1)
    x = torch.randn(1, 4, 4, 5).double().requires_grad_()
    # Away from whole pixels, where the gradient jumps.
    offset = torch.randint(-3, 3, (1, 2 * 2 * 4, 4, 5)) + 0.25 + 0.5 * torch.rand(1, 16, 4, 5)
    offset = offset.double().requires_grad_()
    mask = torch.rand(1, 8, 4, 5).double().requires_grad_() if masked else None
    weight = torch.randn(4, 2, 2, 2).double().requires_grad_()

    def run(*tensors):
        x, offset, weight, mask = tensors
        return deform_conv2d(
            x, offset, weight, padding=(1, 1), dilation=(2, 2), mask=mask,
            groups=2, offset_groups=2,
        )  # fmt: skip

    assert torch.autograd.gradcheck(run, (x, offset, weight, mask))


def test_offsets_far_outside_sample_zero() -> None:
    layer = DeformConv2d(2, 3, 3, padding=1, bias=False)
    x, offset = torch.randn(1, 2, 5, 5), torch.full((1, 18, 5, 5), 1e30)
    assert (layer(x, offset) == 0).all()
    assert (layer(x, -offset) == 0).all()


def test_offsets_that_are_not_numbers_show() -> None:
    layer = DeformConv2d(2, 3, 1, bias=False)
    offset = torch.zeros(1, 2, 2, 2)
    offset[0, 0, 1, 1] = torch.nan
    got = layer(torch.randn(1, 2, 2, 2), offset)
    assert got[..., 1, 1].isnan().all()
    assert got[..., 0, :].isfinite().all()


def test_square_offsets_scale_the_kernel() -> None:
    """A distance of one is a dilation of two."""
    torch.manual_seed(2)
    layer = DeformConv2d(3, 3, (3, 5), padding=(2, 4), square=True, offset_groups=3).double()
    x = torch.randn(1, 3, 9, 11).double()
    want = F.conv2d(x, layer.weight, layer.bias, padding=(2, 4), dilation=2)
    got = layer(x, torch.ones(1, 3, 11, 15).double())
    # The centre of the kernel stays, so that the window grows around it.
    assert torch.allclose(got[..., 1:-1, 2:-2], want, atol=1e-13)
    offsets = square_offsets(torch.full((1, 1, 1, 1), 2.0), (3, 1)).flatten()
    assert offsets.tolist() == [-2, 0, 0, 0, 2, 0]


def test_bounded_and_integer_offsets() -> None:
    torch.manual_seed(3)
    plain = DeformConv2d(2, 2, 3, padding=1)
    limited = DeformConv2d(2, 2, 3, padding=1, bound=2, integer=True)
    limited.load_state_dict(plain.state_dict())
    x = torch.randn(1, 2, 8, 8)
    offset = (4 * torch.randn(1, 18, 8, 8)).requires_grad_()
    want = plain(x, offset.detach().clamp(-2, 2).round())
    got = limited(x, offset)
    assert torch.equal(got, want)
    got.square().sum().backward()
    inside = offset.detach().abs() < 2
    assert offset.grad[inside].any()  # rounding does not stop gradients, clipping does
    assert not offset.grad[~inside].any()


@pytest.mark.parametrize("modulation", [None, "sigmoid", "clip"])
@pytest.mark.parametrize("square", [False, True])
def test_pack_begins_as_a_convolution_and_learns(modulation, square) -> None:
    torch.manual_seed(4)
    pack = DeformConv2dPack(
        4, 4, 3, 2, 1, groups=4, offset_groups=2, square=square, bound=3, modulation=modulation
    )
    x = torch.randn(2, 4, 8, 8)
    factor = 0.5 if modulation else 1
    conv = pack.conv
    want = F.conv2d(x, conv.weight * factor, conv.bias, 2, 1, groups=4)
    assert torch.allclose(pack(x), want, atol=1e-6)
    pack(x).square().sum().backward()
    assert all(parameter.grad.any() for parameter in pack.parameters())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: DeformConv2d(4, 4, 3)(torch.zeros(1, 4, 5, 5), torch.zeros(1, 16, 3, 3)),
            "offset must have the shape (1, 18, 3, 3), not (1, 16, 3, 3)",
        ),
        (
            lambda: DeformConv2d(4, 4, 3)(
                torch.zeros(1, 4, 5, 5), torch.zeros(1, 18, 3, 3), torch.zeros(1, 18, 3, 3)
            ),
            "mask must have the shape (1, 9, 3, 3), not (1, 18, 3, 3)",
        ),
        (
            lambda: DeformConv2d(4, 4, 3)(torch.zeros(1, 4, 2, 9), torch.zeros(1, 18, 0, 7)),
            "an image of 2 x 9 pixels has no position for a kernel (3, 3)",
        ),
        (
            lambda: DeformConv2d(4, 4, 1)(torch.zeros(1, 4, 0, 9), torch.zeros(1, 2, 0, 9)),
            "an image of 0 x 9 pixels",
        ),
        (lambda: DeformConv2d(4, 4, 3, offset_groups=3), "offset_groups must divide"),
        (lambda: DeformConv2d(4, 4, (3, 2), square=True), "a kernel with a centre"),
        (lambda: DeformConv2d(4, 4, 3, padding="same"), "padding must be zeros, given as numbers"),
        (lambda: DeformConv2d(4, 4, 3, bound=0), "bound must be positive or None, not 0"),
    ],
)
def test_refuses(call, message) -> None:
    with pytest.raises(Error, match=re.escape(message)):
        call()
