"""Softmax and attention in float networks: integers on the engine, near the floats."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tilewright as tw
from tilewright.compiler.importers.export import import_module, prove
from tilewright.compiler.quantized import ops as q

ENGINE = tw.EngineConfig(rows=8, cols=7, weight_depth=8192, tables=4)


class Attention(nn.Module):
    """Of every pixel to a quarter of them, as CvT's."""

    def __init__(self):
        super().__init__()
        self.query = nn.Conv2d(8, 8, 1)
        self.key, self.value = (nn.Conv2d(8, 8, 3, 2, 1) for _ in range(2))
        self.last = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        query, key, value = (f(x).flatten(2) for f in (self.query, self.key, self.value))
        share = torch.softmax(query.transpose(1, 2) @ key / math.sqrt(8), -1)
        return x + self.last((value @ share.transpose(1, 2)).view(-1, 8, 6, 6))


class Heads(nn.Module):
    """Two heads, as ViTs have them."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(8, 24, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x):
        tokens = self.first(x).flatten(2).view(-1, 3, 2, 4, 16).transpose(3, 4)
        y = F.scaled_dot_product_attention(*tokens.unbind(1))
        return x + self.last(y.transpose(2, 3).reshape(-1, 8, 4, 4))


class Shares(nn.Module):
    """A softmax over a dimension of what a convolution computes."""

    def __init__(self, dim):
        super().__init__()
        self.conv, self.dim = nn.Conv2d(8, 6, 1), dim

    def forward(self, x):
        y = self.conv(x)
        if self.dim == 1:
            return torch.softmax(y, 1)
        return torch.softmax(y.flatten(2), self.dim).view(-1, 6, 6, 6)


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (Attention(), 6),
        pytest.param(Heads(), 4, marks=pytest.mark.exhaustive),
        (Shares(1), 6),
        (Shares(2), 6),
    ],
    ids=["attention", "heads", "channels", "pixels"],
)
def test_integers_are_near_the_floats(network, size):
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.4)
    images = torch.randn(8, 8, size, size)
    network.eval()
    model = tw.quantize(network, [images])
    program = tw.compile(model, images, tw.Target(engine=ENGINE))
    golden, isa = (tw.simulate(program, images[:1], backend=b) for b in ("golden", "isa"))
    np.testing.assert_array_equal(golden.outputs[0], isa.outputs[0])
    with torch.no_grad():
        wanted = network(images[:1]).numpy()
    error = wanted - golden.dequantized()[0].reshape(wanted.shape)
    assert 10 * np.log10((wanted**2).sum() / (error**2).sum()) > 25


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("lead", [(), (3,)])
def test_a_product_of_matrices_is_one(lead, swapped):
    """Whichever operand the pixels are those of; the graph is run beside the module."""

    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(4, 6, 1), nn.Conv2d(4, 6, 3, 3)

        def forward(self, x):
            a = self.a(x).reshape(-1, *lead, 6 // math.prod(lead), 36)
            b = self.b(x).reshape(-1, *lead, 6 // math.prod(lead), 4)
            return b.transpose(-1, -2) @ a if swapped else a.transpose(-1, -2) @ b

    module, images = Product(), (torch.randn(2, 4, 6, 6),)
    imported = import_module(module, images)
    prove(module, imported, images)
    assert [type(op) for op in imported.graph.ops if len(op.inputs) > 1] == [q.MatMul]


class Masked(nn.Module):
    """Tokens that see those before them, the rest hidden by what is added."""

    def __init__(self, fill):
        super().__init__()
        self.first = nn.Conv2d(8, 24, 1)
        self.mask = torch.triu(torch.full((16, 16), fill), 1)

    def forward(self, x):
        query, key, value = self.first(x).flatten(2).transpose(1, 2).chunk(3, -1)
        scores = query @ key.transpose(1, 2) + self.mask
        return scores.softmax(-1) @ value


@pytest.mark.parametrize("fill", [-100.0, -1e4])
def test_what_hides_elements_takes_no_grid(fill):
    torch.manual_seed(4)
    model, images = Masked(fill).eval(), torch.randn(4, 8, 4, 4)
    imported = import_module(model, [images])
    prove(model, imported, [images])
    constants = [op.value for op in imported.graph.ops if isinstance(op, q.Constant)]
    assert constants
    assert min(float(value.min()) for value in constants) > -50


def test_a_mask_that_is_computed_is_refused():
    class Computed(nn.Module):
        def forward(self, x):
            return F.scaled_dot_product_attention(x, x, x, attn_mask=x)

    with pytest.raises(tw.UnsupportedError, match="with a mask that is computed"):
        tw.quantize(Computed(), [torch.randn(2, 2, 4, 4)], host="never")
