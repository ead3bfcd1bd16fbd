"""Layers in tiles: golden == isa == rtl, every element and cycle, for every F the engine knows.

The golden reference is the plain convolution.
"""

from math import gcd

import numpy as np
import pytest

from tests.cosim.random_layers import random_requantize, random_type, window_out
from tilewright.compiler.ir import Conv2d, Graph, Input, Output, Requantize, TensorType
from tilewright.compiler.isa import EngineConfig
from tilewright.compiler.schedule import EngineLimitError
from tilewright.compiler.winograd.terms import tilings
from tilewright.executors import verify
from tilewright.program import compile_graph
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

ENGINES = {
    "4x3": EngineConfig(
        rows=4, cols=3, requantizers=2, act_depth=1024, weight_depth=8192, out_depth=256,
        bus_width=32, data_width=13, kernel_width=14, partial_depth=128, early_parameters=False,
        transform_at_load=True,
    ),
    "8x7": EngineConfig(
        rows=8, cols=7, act_depth=1024, weight_depth=8192, out_depth=512, bus_width=64,
        data_width=15, kernel_width=16, partial_depth=256, tables=1, acc_width=28,
    ),
}  # fmt: skip
KERNELS = ((3, 3), (5, 5), (1, 3), (3, 1), (1, 5), (5, 1), (2, 2), (4, 4), (2, 3), (3, 5))
STRIDED = (((3, 3), (2, 2)), ((5, 5), (2, 2)), ((3, 3), (1, 2)), ((5, 3), (2, 1)), ((4, 5), (3, 3)))
TILINGS = [t for kernel in KERNELS for t in tilings(kernel)]
TILINGS += [t for kernel, stride in STRIDED for t in tilings(kernel, stride)]
CASES = 3


def random_tiles(rng, config, tiling):
    """Return a random convolution that the tiles can compute, and its input."""
    rows = config.rows
    while True:
        padding = tuple(int(n) for n in rng.integers(0, 3, 4))
        height, width = (int(n) for n in rng.integers(2, 16, 2))
        shape = [
            window_out(n, tiling.kernel[i], tiling.stride[i], 1, padding[2 * i : 2 * i + 2])
            for i, n in enumerate((height, width))
        ]
        if min(shape) >= 2 and shape[1] % tiling.m[1] == 0:
            break
    groups = int(rng.choice((1, 1, 2, 3)))
    per_group = int(rng.choice((rows, rows // 2, rng.integers(1, 2 * rows))))
    channels, kernels = per_group * groups, int(rng.integers(1, rows)) * groups
    kind, out = random_type(rng, (channels, height, width)), random_type(rng, (kernels, *shape))
    limit = 1 << int(rng.integers(1, 8))
    conv = Conv2d(
        "conv", "x", "y", rng.integers(1 - limit, limit, (kernels, per_group, *tiling.kernel)), 8,
        rng.integers(-1000, 1000, kernels), tiling.stride, padding, (1, 1), groups,
        random_requantize(rng, out, config.multiplier_width),
    )  # fmt: skip
    graph = Graph("tiles", {"x": kind, "y": out}, (Input("i", "x"), conv, Output("o", "y")))
    return graph, rng.integers(kind.qmin, kind.qmax + 1, kind.shape)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_every_tiling_equals_the_plain_convolution(engine):
    config, compared = ENGINES[engine], 0
    for tiling in TILINGS:
        name = str(tiling)
        if gcd(tiling.m[1] * tiling.stride[1], config.cols) > 1:
            continue
        for seed in range(CASES):
            rng = np.random.default_rng(seed)
            graph, image = random_tiles(rng, config, tiling)
            latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
            target = Target(engine=config, memory=latency)
            try:
                verify(compile_graph(graph, target, algorithms={"*": name}), [image])
            except EngineLimitError as error:
                # Kernels of which a border is zero are others.
                if "its algorithms are" not in str(error):
                    pytest.fail(f"seed {seed}, {name}, stride {tiling.stride}: {error}")
                continue
            except Exception as error:
                pytest.fail(f"seed {seed}, {name}, stride {tiling.stride}, {engine}: {error}")
            compared += 1
    assert compared > 0.8 * CASES * len(TILINGS)


def extreme(channels, data, weights):
    """Return a 3x3 layer whose sums are as large as they can be, or take turns."""
    kind, out = (TensorType((n, 6, 8), 8, True, 1.0, 0) for n in (channels, 2))
    sign = np.indices((2, channels, 3, 3)).sum(0) % 2 * 2 - 1
    conv = Conv2d(
        "conv", "x", "y", sign * 127 if weights == 0 else np.full((2, channels, 3, 3), weights), 8,
        np.zeros(2, int), (1, 1), (1, 1, 1, 1), (1, 1), 1,
        Requantize((1, 1), (16, 16), 0, -128, 127),
    )  # fmt: skip
    image = np.full(kind.shape, data)
    if data == 0:
        image = np.where(np.indices(kind.shape).sum(0) % 2, 127, -128)
    return Graph("g", {"x": kind, "y": out}, (Input("i", "x"), conv, Output("o", "y"))), image


# 28 bits of sums, of which the division takes up to four.
MOST = {"F(4x2,3x3)": 57, "F(2x2,3x3)": 229, "F(4x1,3x3)": 114}


@pytest.mark.slow
@pytest.mark.parametrize("name", MOST)
def test_extremes_at_the_most_channels_are_exact_and_one_more_is_refused(name):
    target = Target(engine=ENGINES["8x7"])
    for data in (-128, 127, 0):
        for weights in (-127, 127, 0):
            graph, image = extreme(MOST[name], data, weights)
            try:
                verify(compile_graph(graph, target, algorithms={"conv": name}), [image])
            except Exception as error:
                pytest.fail(f"data {data}, weights {weights}, {name}: {error}")
    graph, _ = extreme(MOST[name] + 1, 127, 127)
    with pytest.raises(EngineLimitError, match=r"conv: F.* cannot be taken: .*acc_width must be"):
        compile_graph(graph, target, algorithms={"conv": name})
