"""golden == isa == rtl where channels are chosen more than once."""

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tilewright.api.compile import compile_graph
from tilewright.api.verify import verify
from tilewright.compiler.ir import Concat, Graph, Input, Output, SelectChannels, TensorType
from tilewright.target import Target


def repeated(count, channels, zero_point):
    """Return channels of a value by index, and the value behind them."""
    kind, indices = TensorType((count, 5, 9), 8, True, 1.0, zero_point), np.array(channels)
    some = TensorType((len(channels), 5, 9), 8, True, 1.0, zero_point)
    whole = TensorType((len(channels) + count, 5, 9), 8, True, 1.0, zero_point)
    ops = (
        Input("x", "x"),
        SelectChannels("select", "x", "y", indices),
        Concat("both", ("y", "x"), "z"),
        Output("y", "y"),
        Output("z", "z"),
    )
    return Graph("repeated", {"x": kind, "y": some, "z": whole}, ops)


@pytest.mark.parametrize(
    ("count", "channels"),
    [(1, [0] * 11), (2, [0, 1] * 9), (7, [6, 6, 3, 6, 0, 3, 5, 1, 6]), (3, [2, 0, 0, 2])],
    ids=["one", "turns", "some", "twice"],
)
@pytest.mark.parametrize("zero_point", [0, -128])
def test_repeated_channels(count, channels, zero_point):
    graph = repeated(count, channels, zero_point)
    program = compile_graph(graph, Target(engine=ENGINES["4x4-bus64"]))
    image = np.random.default_rng(0).integers(-128, 128, (1, count, 5, 9))
    verify(program, image)
    assert len(program.layers) <= 5
