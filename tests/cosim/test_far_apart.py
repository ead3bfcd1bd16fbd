"""Windows and results further apart than a command can say: golden == isa == rtl."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.random_layers import random_requantize, random_type
from tests.strategies.agree import compare
from tilewright.api.compile_graph import compile_graph
from tilewright.api.verify import verify
from tilewright.compiler import ir
from tilewright.errors import UnsupportedError
from tilewright.isa import EngineConfig
from tilewright.target import Target

ENGINE = EngineConfig(rows=2, cols=3, act_depth=512, weight_depth=1024, out_depth=64, bus_width=32)
TIGHT = replace(ENGINE, act_depth=64, out_depth=16)


def layer(rng, kind, channels, size, stride):
    """Return a graph of one layer with windows, or results, so far apart, and its inputs."""
    x = random_type(rng, (channels, *size))
    kernels = 3 if kind is not ir.MaxPool2d else channels
    if kind is ir.ConvTranspose2d:
        shape = (kernels, *((n - 1) * s + 2 for n, s in zip(size, stride, strict=True)))
    else:
        shape = (kernels, *((n - 2) // s + 1 for n, s in zip(size, stride, strict=True)))
    y = replace(x, shape=shape) if kind is ir.MaxPool2d else random_type(rng, shape)
    none, one = (0, 0, 0, 0), (1, 1)
    if kind is ir.MaxPool2d:
        op = kind("layer", "x", "y", (2, 2), stride, none, one)
    else:
        requantize = random_requantize(rng, y, ENGINE.multiplier_width)
        bias = rng.integers(-99, 99, kernels)
        weight = rng.integers(-8, 8, (kernels, channels, 2, 2))
        more = ((0, 0), 1) if kind is ir.ConvTranspose2d else (one, 1)
        op = kind("layer", "x", "y", weight, 4, bias, stride, none, *more, requantize)
    graph = ir.Graph("far", {"x": x, "y": y}, (ir.Input("i", "x"), op, ir.Output("o", "y")))
    return graph, [rng.integers(x.qmin, x.qmax + 1, (1, *x.shape))]


@pytest.mark.parametrize("engine", [ENGINE, TIGHT], ids=["engine", "tight"])
@pytest.mark.parametrize(
    ("kind", "size", "stride"),
    [
        (ir.Conv2d, (40, 70), (16, 16)),
        (ir.Conv2d, (9, 100), (3, 33)),
        (ir.Conv2d, (70, 9), (17, 2)),
        (ir.MaxPool2d, (40, 80), (20, 19)),
        (ir.ConvTranspose2d, (3, 4), (8, 9)),
        (ir.ConvTranspose2d, (2, 5), (1, 16)),
        (ir.ConvTranspose2d, (1, 1), (40, 50)),  # one result each: nothing is apart
    ],
)
def test_layers_far_apart(kind, size, stride, engine):
    """Strides of 16 and more, of patches, and results eight apart were refused."""
    rng = np.random.default_rng(100 * stride[0] + stride[1])
    graph, inputs = layer(rng, kind, 3, size, stride)
    program = compile_graph(graph, Target(engine=engine))
    assert not compare(program, inputs).wrong
    if engine is ENGINE:
        verify(program, inputs)


def test_too_many_of_them_are_refused_by_name():
    graph, _ = layer(np.random.default_rng(0), ir.Conv2d, 1, (32, 32 * 1025), (1, 32))
    with pytest.raises(UnsupportedError, match=r"layer: .* one by one.*Use two layers"):
        compile_graph(graph, Target(engine=ENGINE))
