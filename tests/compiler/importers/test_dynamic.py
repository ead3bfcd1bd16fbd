"""Convolutions whose kernels depend on the inputs, in float networks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tilewright as tw
from tilewright.compiler.importers.export import import_module, prove
from tilewright.compiler.quantized import ops as q

ENGINE = tw.EngineConfig(rows=8, cols=7, weight_depth=8192, tables=4)


class Depthwise(nn.Module):
    """A kernel for each channel, from a pooled map; written for any number of images, or one."""

    def __init__(self, *, batch):
        super().__init__()
        self.kernels = nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Conv2d(6, 6, 1))
        self.last, self.batch = nn.Conv2d(6, 6, 1), batch

    def forward(self, x):
        kernels = self.kernels(x)
        if not self.batch:
            return self.last(F.conv2d(x, kernels.view(6, 1, 3, 3), padding=1, groups=6))
        n = x.shape[0]
        y = F.conv2d(x.reshape(1, -1, 7, 9), kernels.view(n * 6, 1, 3, 3), padding=1, groups=n * 6)
        return self.last(y.view(n, 6, 7, 9))


class Mixed(nn.Module):
    """Kernels mixed of four by what a linear layer makes of the image, as CondConv's; a bias."""

    def __init__(self, groups=1):
        super().__init__()
        self.groups = groups
        self.experts = nn.Parameter(torch.randn(4, 6 * 6 // groups * 9) * 0.1)
        self.mix, self.bias = nn.Linear(6, 4), nn.Parameter(torch.randn(6))

    def forward(self, x):
        n = x.shape[0]
        kernels = torch.sigmoid(self.mix(x.mean((2, 3)))) @ self.experts
        y = F.conv2d(
            x.reshape(1, -1, 7, 9), kernels.view(n * 6, -1, 3, 3), self.bias.repeat(n),
            stride=(2, 1), padding=(1, 0), groups=self.groups * n,
        )  # fmt: skip
        return y.view(n, 6, 4, 7)


@pytest.mark.parametrize(
    ("network", "images"),
    [(Depthwise(batch=True), 4), (Depthwise(batch=False), 1), (Mixed(), 4), (Mixed(3), 4)],
    ids=["depthwise", "one image", "mixed", "in groups"],
)
def test_integers_are_near_the_floats(network, images):
    torch.manual_seed(0)
    x = torch.randn(images, 6, 7, 9)
    network.eval()
    program = tw.compile(tw.quantize(network, [x]), x, tw.Target(engine=ENGINE))
    assert "DynamicConv2d" in [op.kind for op in program.graph.layers]
    golden, isa = (tw.simulate(program, x[:1], backend=b) for b in ("golden", "isa"))
    np.testing.assert_array_equal(golden.outputs[0], isa.outputs[0])
    with torch.no_grad():
        wanted = network(x[:1]).numpy()
    error = wanted - golden.dequantized()[0].reshape(wanted.shape)
    assert 10 * np.log10((wanted**2).sum() / (error**2).sum()) > 25


def test_a_kernel_with_all_channels_is_one_convolution():
    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernels = nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Conv2d(12, 5 * 12, 1))

        def forward(self, x):
            n = x.shape[0]
            kernels = self.kernels(x).view(n * 5, 12, 3, 3)
            y = F.conv2d(x.reshape(1, -1, 7, 9), kernels, groups=n, dilation=2)
            return y.reshape(n, 5, 3, 5)

    module, images = Dense(), (torch.randn(2, 12, 7, 9),)
    imported = import_module(module, images)
    prove(module, imported, images)
    assert [type(op) for op in imported.graph.ops if len(op.inputs) > 1] == [q.DynamicConv]


class Refused(nn.Module):
    """What has no place: ``how`` says why."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, x):
        n = x.shape[0]
        if self.how == "one image's":
            return F.conv2d(x, x[:1, :, :3, :3].reshape(6, 1, 3, 3), groups=6)
        return torch.softmax(x.reshape(1, -1, 6, 6), 1).reshape(n, 6, 6, 6)


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ("one image's", "Keep the batch a dimension of its own"),
        ("another operator", "softmax over the batch"),
    ],
)
def test_what_has_no_place_is_named(how, match):
    with pytest.raises(tw.UnsupportedError, match=match):
        tw.quantize(Refused(how), [torch.randn(2, 6, 6, 6)], host="never")
