"""Graphs of networks that have grids: what they say is what the integers are."""

import numpy as np
import pytest
import torch

from tilewright import UnsupportedError
from tilewright.compiler import ir
from tilewright.compiler.ir.inputs import quantize_input
from tilewright.compiler.quantized import Quantization, View
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.passes import given
from tilewright.compiler.quantized.to_integer import to_integer

X = Quantization(2.0**-5, 3, 8, True)
Y = Quantization(2.0**-4, 0, 8, False)
Z = Quantization(2.0**-3, -6, 8, True)
SHAPE = (4, 6, 8)


def layer(builder, view, seed, outputs=4):
    """A convolution whose weights have a power of two as scale."""
    random = torch.Generator().manual_seed(seed)
    integers = torch.randint(-127, 128, (outputs, view.shape[0], 3, 3), generator=random)
    scale = torch.full((outputs,), 2.0**-9, dtype=torch.float64)
    bias = torch.randint(-500, 500, (outputs,), generator=random) * scale[0] * X.scale
    weight = integers * scale[:, None, None, None]
    return builder.conv("conv", view, weight, bias, padding=(1, 1, 1, 1), scale=scale, bits=8)


def clipped(b, x):
    relu = b.function("relu", layer(b, x, 1), q.Apply("relu", (q.X,)))
    return b.quantized("y", relu, Y)


def joined(b, x):
    y = b.quantized("y", layer(b, x, 2), Y)
    both = b.move([x, y], lambda places: np.concatenate(places))
    return b.quantized("z", both, Z)


def unlike(b, x):
    y = b.quantized("y", layer(b, x, 2), Y)
    return b.move([x, y], lambda places: np.concatenate(places))


def difference(b, x):
    y = b.quantized("y", layer(b, x, 3), X)
    return b.quantized("z", b.binary("sub", "sub", x, y), Z)


def moved(b, x):
    crop = b.move([x], lambda places: places[0][:, 1:, ::2])
    return b.move([crop], lambda places: np.roll(places[0], 1, axis=1))


def table(b, x):
    inner = b.function("exp", x, q.Apply("exp", (q.X,)))
    return b.quantized("y", b.function("sigmoid", inner, q.Apply("sigmoid", (q.X,))), Y)


def normed(b, x):
    scale = torch.tensor([0.5, -2.0, 1.0, -0.25], dtype=torch.float64)[:, None, None]
    return b.quantized("z", b.affine("norm", layer(b, x, 4), scale, scale * 2), Z)


def scaled(b, x):
    scale = torch.tensor([0.5, 2.0, 1.0, 0.25], dtype=torch.float64)[:, None, None]
    return b.quantized("z", b.affine("norm", x, scale, torch.zeros_like(scale)), Z)


def narrow(b, x):
    return b.quantized("n", x, Quantization(X.scale, 3, 8, True, low=-20, high=90))


def pooled(b, x):
    most = b.max_pool("max", x, (2, 2), (2, 2), (0, 0, 0, 0))
    return b.quantized("z", b.avg_pool("mean", most, (2, 2), (1, 1), (0, 0, 0, 0), 4.0), Z)


def flat(b, x):
    random = torch.Generator().manual_seed(5)
    integers = torch.randint(-127, 128, (3, 192), generator=random)
    scale = torch.full((3,), 2.0**-12, dtype=torch.float64)
    vector = b.reshaped(x, (192,))
    result = b.linear("linear", vector, integers * scale[:, None], None, scale=scale)
    return b.quantized("z", result, Z)


NETWORKS = (
    clipped, joined, unlike, difference, moved, table, normed, scaled, narrow, pooled, flat
)  # fmt: skip


def imported(network, first=X):
    builder = Builder()
    x = builder.quantized("x", builder.input("x", SHAPE), first)
    return builder.graph(network.__name__, [network(builder, x)])


@pytest.mark.parametrize("network", NETWORKS, ids=lambda f: f.__name__)
def test_integers_are_what_the_grids_say(network):
    """Scales are powers of two, so float64 computes exactly what integers do."""
    graph = imported(network)
    images = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(7)).double() * 3
    images[0, 0, 0] = 9.0  # saturates
    images[0, 0, 1] = -9.0
    lowered = given(graph)
    wanted = [view.of(lowered.values([images], quantized=True)) for view in lowered.outputs]
    if network is not unlike:  # which lies on a grid that nothing says
        said = graph.values([images], quantized=True)
        for view, want in zip(graph.outputs, wanted, strict=True):
            assert torch.equal(view.of(said), want)
    captured = to_integer(lowered)
    integer = ir.choose_multipliers(captured.graph, 18)
    for i, image in enumerate(images.numpy()):
        (kind,) = (integer.values[op.output] for op in integer.inputs)
        values = ir.run(integer, [quantize_input(kind, image)])
        for view, want in zip(captured.results, wanted, strict=True):
            flats = []
            for place in view.sources:
                name = integer.outputs[place].input
                t = integer.values[name]
                flats.append((values[name].reshape(-1) - t.zero_point) * t.scale)
            have = np.concatenate(flats)
            have = have if view.index is None else np.append(have, 0.0)[view.index.reshape(-1)]
            np.testing.assert_array_equal(have, want[i].numpy().reshape(-1))


def test_a_grid_is_where_the_network_says_it():
    """Nothing is folded across a quantizer, though in real numbers it could be."""
    builder = Builder()
    x = builder.quantized("x", builder.input("x", SHAPE), X)
    coarse = Quantization(1.0, 0, 4, True)
    y = builder.quantized("y", builder.input("y", SHAPE), X)
    total = builder.quantized("a", builder.binary("a", "add", x, y), coarse)
    total = builder.quantized("b", builder.binary("b", "add", total, x), coarse)
    builder_graph = builder.graph("sums", [total])
    ops = to_integer(given(builder_graph)).graph.layers
    assert [op.kind for op in ops] == ["Add", "WeightedSum"]


def test_the_same_quantizer_twice_is_one():
    builder = Builder()
    x = builder.quantized("x", builder.input("x", SHAPE), X)
    again = builder.quantized("again", x, X)
    graph = builder.graph("same", [again])
    assert to_integer(given(graph)).graph.layers == ()


def test_a_result_without_a_grid_is_refused():
    with pytest.raises(UnsupportedError, match=r"conv: the result of Conv.* on no grid"):
        given(imported(lambda b, x: View(layer(b, x, 1).sources, SHAPE)))
