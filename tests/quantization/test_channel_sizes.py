"""Channels of products and terms of sums have the sizes that suit their grids."""

import numpy as np
import pytest
import torch
from torch import nn

import tilewright as tw

ENGINE = tw.EngineConfig(rows=4, cols=4, weight_depth=2048, tables=2)


class Product(nn.Module):
    """Channels of one map, or of both, are up to 64 times smaller than others."""

    def __init__(self, both):
        super().__init__()
        self.enter, self.leave = nn.Conv2d(4, 16, 1), nn.Conv2d(8, 8, 1)
        sizes = 2.0 ** -torch.arange(8.0)[:, None, None, None].clamp(max=6)
        with torch.no_grad():
            self.enter.weight[8:] *= sizes
            self.enter.bias[8:] *= sizes[:, 0, 0, 0]
            if both:
                self.enter.weight[:8] *= sizes
                self.enter.bias[:8] *= sizes[:, 0, 0, 0]
            self.leave.weight /= sizes[:, 0, 0, 0][None, :, None, None] ** (1 + both)

    def forward(self, x):
        a, b = self.enter(x).chunk(2, 1)
        return self.leave(a * b)


class Trunk(nn.Module):
    """A norm of a map that something far larger is added to elsewhere."""

    def __init__(self):
        super().__init__()
        self.enter, self.wide = nn.Conv2d(4, 16, 1), nn.Conv2d(16, 16, 1)
        self.norm, self.leave = nn.LayerNorm(16), nn.Conv2d(16, 16, 1)
        with torch.no_grad():
            self.wide.weight *= 50

    def forward(self, x):
        x = self.enter(x)
        y = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.leave(y), x + self.wide(x)


@pytest.mark.parametrize(
    ("make", "least"),
    [(lambda: Product(False), 28), (lambda: Product(True), 25), (Trunk, 32)],
    ids=["one", "both", "trunk"],
)
def test_every_channel_keeps_its_signal(make, least):
    torch.manual_seed(0)
    model, images = make().eval(), torch.randn(16, 4, 8, 8)
    quantized = tw.quantize(model, [images])
    program = tw.compile(quantized, images[:1], tw.Target(engine=ENGINE))
    golden = tw.simulate(program, images, backend="golden")
    isa = tw.simulate(program, images[:1])
    for have, want in zip(isa.outputs, golden.outputs, strict=True):
        np.testing.assert_array_equal(have, want[:1])
    with torch.no_grad():
        wanted = model(images)
    wanted = (wanted if isinstance(wanted, torch.Tensor) else wanted[0]).numpy()
    error = wanted - golden.dequantized()[0].reshape(wanted.shape)
    power, lost = ((x**2).sum((0, 2, 3)) for x in (wanted, error))
    snr = 10 * np.log10(power / lost).min()
    assert snr > least
