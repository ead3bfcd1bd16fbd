"""Rows that no buffer holds, in strips of columns: golden == isa == rtl."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.random_layers import random_requantize, random_type
from tests.cosim.random_wide import (
    RTL_ENGINES,
    compiled,
    strips_of_columns,
    tiny_engine,
    wide_network,
)
from tests.strategies.agree import compare
from tilewright.api.compile_graph import compile_graph
from tilewright.api.verify import verify
from tilewright.compiler import ir
from tilewright.isa import EngineConfig
from tilewright.target import Target

CASES, NETWORKS, RTL_CASES = 16, 6, 12


def test_random_layers_on_tiny_engines_agree():
    cut = 0
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        case = compiled(rng, tiny_engine(rng))
        if case is None:
            continue
        assert not compare(*case).wrong, f"seed {seed}"
        cut += strips_of_columns(case[0]) > 1
    assert cut > CASES // 6


@pytest.mark.exhaustive
def test_layers_that_run_together_on_tiny_engines_agree():
    """Rows of two operands once had other pitches: an addition took other pixels of the second."""
    cut = 0
    for seed in range(NETWORKS):
        rng = np.random.default_rng(seed)
        config = replace(tiny_engine(rng), weight_bits=8)
        case = compiled(rng, config, wide_network)
        if case is None:
            continue
        assert not compare(*case).wrong, f"seed {seed}"
        cut += any(group.columns > 1 and len(group.layers) > 1 for group in case[0].schedule)
    assert cut > NETWORKS // 4


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", RTL_ENGINES)
def test_random_layers_agree_with_rtl(name):
    cut = 0
    for seed in range(RTL_CASES):
        case = compiled(np.random.default_rng(seed), RTL_ENGINES[name])
        if case is None:
            continue
        try:
            verify(*case)
        except Exception as error:
            pytest.fail(f"seed {seed}, engine {name}: {error}")
        cut += strips_of_columns(case[0]) > 1
    assert cut > RTL_CASES // 6


FAR = EngineConfig(rows=2, cols=3, act_depth=64, weight_depth=1024, out_depth=16, bus_width=128)


def far_apart(stride):
    """Return a graph whose results a command computes at every third column or so, and inputs."""
    rng = np.random.default_rng(stride)
    x = random_type(rng, (3, 2, 61))
    y = random_type(rng, (3, 2, 60 * stride + 1))
    requantize = random_requantize(rng, y, FAR.multiplier_width)
    op = ir.ConvTranspose2d(
        "layer", "x", "y", rng.integers(-8, 8, (3, 3, 1, 1)), 4, rng.integers(-99, 99, 3),
        (1, stride), (0, 0, 0, 0), (0, 0), 1, requantize,
    )  # fmt: skip
    graph = ir.Graph("far", {"x": x, "y": y}, (ir.Input("i", "x"), op, ir.Output("o", "y")))
    return graph, [rng.integers(x.qmin, x.qmax + 1, (1, *x.shape))]


@pytest.mark.parametrize("stride", [3, 5, 7])
def test_results_far_apart_need_not_fit_from_one_to_where_a_beat_begins_too(stride):
    """A store once had more words than the output buffer: least common multiples of both."""
    graph, inputs = far_apart(stride)
    program = compile_graph(graph, Target(engine=FAR))
    assert not compare(program, inputs).wrong
    if stride == 3:
        verify(program, inputs)
