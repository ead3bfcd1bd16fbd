"""Deformable convolutions as float networks have them, quantized and run on an engine."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tilewright as tw
from tilewright.nn import deform_conv2d

SEED = 20261129
LEAST_DB = 25
# tables: sigmoid of the mask; multipliers of 31 bits: nothing but a tie differs from PyTorch.
ENGINE = tw.EngineConfig(
    rows=4,
    cols=4,
    offset_depth=512,
    offset_fraction=8,
    mask_fraction=8,
    tables=1,
    weight_depth=2048,
    multiplier_width=31,
)
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def torchvision_op():
    """Register torchvision's operator, which cannot be installed beside this PyTorch."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    numbers = ("stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w", "groups")
    library.define(
        "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, "
        + ", ".join(f"SymInt {name}" for name in (*numbers, "offset_groups"))
        + ", bool use_mask) -> Tensor"
    )

    def compute(x, weight, offset, mask, bias, sh, sw, ph, pw, dh, dw, groups, og, use_mask):
        return deform_conv2d(
            x, offset, weight, bias, stride=(sh, sw), padding=(ph, pw), dilation=(dh, dw),
            mask=mask if use_mask else None, groups=groups, offset_groups=og,
        )  # fmt: skip

    def fake(x, weight, offset, *rest):
        return x.new_empty(x.shape[0], weight.shape[0], *offset.shape[2:])

    library.impl("deform_conv2d", compute, "CPU")
    library.impl("deform_conv2d", fake, "Meta")
    yield torch.ops.torchvision.deform_conv2d
    library._destroy()


class WithoutMask(nn.Module):
    """As torchvision.ops.deform_conv2d calls it: a mask of zeros that is not used."""

    def __init__(self, op, channels: int = 8) -> None:
        super().__init__()
        self.op = op
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.offset = nn.Conv2d(channels, 18, 3, padding=1)
        self.weight = nn.Parameter(torch.randn(channels, channels, 3, 3) * 0.15)
        self.last = nn.Conv2d(channels, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        mask = torch.zeros((x.shape[0], 1), device=x.device, dtype=x.dtype)
        bias = torch.zeros(len(self.weight), device=x.device, dtype=x.dtype)
        y = self.op(
            x, self.weight, self.offset(x), mask, bias, 1, 1, 1, 1, 1, 1, 1, 1, False
        )  # fmt: skip
        return self.last(F.relu(y))


class Modulated(nn.Module):
    """One convolution of 27 channels, chunked: two parts of offsets, and a mask by sigmoid."""

    def __init__(self, op, channels: int = 8) -> None:
        super().__init__()
        self.op = op
        self.stem, self.norm = nn.Conv2d(3, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv_offset = nn.Conv2d(channels, 27, 3, padding=1)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        o1, o2, mask = torch.chunk(self.conv_offset(x), 3, dim=1)
        offset, mask = torch.cat((o1, o2), dim=1), torch.sigmoid(mask)
        conv = self.conv
        y = self.op(
            x, conv.weight, offset, mask, conv.bias, *conv.stride, *conv.padding, *conv.dilation,
            conv.groups, 1, True,
        )  # fmt: skip
        return self.last(F.relu(y))


@pytest.fixture(scope="module", params=[WithoutMask, Modulated])
def compiled(request, torchvision_op):
    """Return a module, images, and what was compiled of it."""
    torch.manual_seed(SEED)
    model = request.param(torchvision_op)
    images = torch.randn(16, 3, 12, 12)
    with torch.no_grad():
        model.train()(images)
    model.eval()
    program = tw.compile(tw.quantize(model, [images]), images, tw.Target(engine=ENGINE))
    return model, images, program


def test_integers_are_the_module_as_given(compiled) -> None:
    model, images, program = compiled
    assert any(layer.kind == "DeformConv2d" for layer in tw.simulate(program, images[:1]).layers)
    with torch.no_grad():
        wanted = model(images).numpy()
    (have,) = tw.simulate(program, images, backend="golden").dequantized()
    ratio = 10 * np.log10((wanted**2).sum() / ((wanted - have) ** 2).sum())
    assert ratio >= LEAST_DB, f"seed {SEED}: {ratio:.1f} dB"


def test_commands_give_the_golden_integers(compiled) -> None:
    _, images, program = compiled
    golden, isa = (tw.simulate(program, images[:2], backend=b) for b in ("golden", "isa"))
    np.testing.assert_array_equal(golden.outputs[0], isa.outputs[0])


@pytest.mark.slow
def test_the_verilog_gives_the_same(compiled) -> None:
    _, images, program = compiled
    tw.verify(program, images[:1])
