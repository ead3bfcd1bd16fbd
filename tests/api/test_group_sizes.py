"""What groups of so many channels cost is what a network of one such layer costs."""

import numpy as np
import pytest

import tilewright as tw
from tests.cosim.engines import ENGINES
from tilewright.api.group_sizes import ENOUGH, best_group_size
from tilewright.compiler.ir import Conv2d, Graph, Input, Output, Requantize, TensorType

TARGET = tw.Target(engine=ENGINES["8x7-bus64"])
CHANNELS, KERNELS = 32, 64


def graph(groups, rng):
    values = {
        "x": TensorType((CHANNELS, 9, 14), 8, True, 1.0, 0),
        "y": TensorType((KERNELS, 9, 14), 8, True, 1.0, 0),
    }
    weight = rng.integers(1, 127, (KERNELS, CHANNELS // groups, 3, 3))
    layer = Conv2d(
        "layer", "x", "y", weight, 8, np.zeros(KERNELS, np.int64), (1, 1), (1, 1, 1, 1), (1, 1),
        groups, Requantize((1,) * KERNELS, (12,) * KERNELS, 0, -128, 127),
    )  # fmt: skip
    return Graph("net", values, (Input("input", "x"), layer, Output("output", "y")))


def test_each_size_is_what_a_network_of_one_such_layer_costs():
    rng = np.random.default_rng(3)
    found = tw.group_sizes(tw.compile_graph(graph(4, rng), TARGET), "layer")
    assert [size.channels for size in found] == [1, 2, 4, 8, 16, 32]
    for size in found:
        cost = tw.estimate(tw.compile_graph(graph(CHANNELS // size.channels, rng), TARGET))
        assert size.cycles == cost.cycles.value
        assert size.energy == cost.energy.total.value
        assert size.macs == KERNELS * 9 * 14 * 9 * size.channels
        assert size.rate * size.cycles == pytest.approx(size.macs)
    best = best_group_size(found)
    least = min(size.energy for size in found)
    assert best.energy <= ENOUGH * least
    assert all(s.energy > ENOUGH * least for s in found if s.channels > best.channels)


def test_what_is_no_convolution_is_refused():
    program = tw.compile_graph(graph(4, np.random.default_rng(3)), TARGET)
    with pytest.raises(tw.Error, match="no convolution is named 'other'; there are layer"):
        tw.group_sizes(program, "other")
    with pytest.raises(tw.Error, match="must be Program"):
        tw.group_sizes(3, "layer")
