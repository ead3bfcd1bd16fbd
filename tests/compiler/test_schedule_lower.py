"""Operators as array operations: what lowering decides, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from tilewright.compiler.ir import (
    AvgPool2d,
    Conv2d,
    Graph,
    Input,
    MaxPool2d,
    Output,
    Requantize,
    TensorType,
)
from tilewright.compiler.isa import EngineConfig
from tilewright.compiler.schedule import lower
from tilewright.errors import UnsupportedError

BYTES = TensorType((4, 8, 8), 8, True, 1.0, 0)


def single(op, *shapes):
    """Return a graph of one operator between ``shapes``."""
    values = {v: replace(BYTES, shape=s) for v, s in zip("xy", shapes, strict=True)}
    return Graph("g", values, (Input("input", "x"), op, Output("output", "y")))


@pytest.mark.parametrize(("size", "stride"), [((8, 8), (1, 1)), ((16, 8), (8, 1))])
def test_the_stride_of_a_single_window_means_nothing(size, stride):
    """A global average over more than 15 rows had a stride that no command can hold."""
    r = Requantize((1,) * 4, (6,) * 4, 0, -128, 127)
    op = AvgPool2d("pool", "x", "y", (8, 8), (8, 8), (0, 0, 0, 0), r)
    graph = single(op, (4, *size), (4, size[0] // 8, 1))
    graph.verify()
    (stage,) = lower(graph, EngineConfig()).stages
    assert stage.ops[0].stride == stride


@pytest.mark.parametrize("relu", [False, True])
def test_maximum_with_4_bit_weights_needs_values_that_are_not_negative(relu):
    r = Requantize((1,) * 4, (6,) * 4, 0, 0 if relu else -128, 127)
    values = {name: BYTES for name in "xyzw"}
    conv = Conv2d(
        "conv", "x", "y", np.ones((4, 4, 1, 1), int), 4, np.zeros(4, int),
        (1, 1), (0, 0, 0, 0), (1, 1), 1, r,
    )  # fmt: skip
    pools = [
        MaxPool2d(f"pool.{v}", u, v, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)) for u, v in ("yz", "zw")
    ]
    graph = Graph("g", values, (Input("input", "x"), conv, *pools, Output("output", "w")))
    graph.verify()
    assert len(lower(graph, EngineConfig(weight_bits=8)).stages) == 3
    if relu:
        assert len(lower(graph, EngineConfig(weight_bits=4)).stages) == 3
    else:
        with pytest.raises(UnsupportedError, match=r"pool\.z: .*negative.*ReLU"):
            lower(graph, EngineConfig(weight_bits=4))
