"""golden == isa == rtl on additions that are chains of sums, from the low digits up."""

import numpy as np
import pytest

from tests.cosim.test_double_rounding import ENGINE
from tilewright.api.compile import compile_graph
from tilewright.api.verify import verify
from tilewright.compiler.ir import (
    Graph,
    Input,
    Output,
    Requantize,
    TensorType,
    VerifyError,
    WeightedSum,
    parse_graph,
    print_graph,
)
from tilewright.target import Target


def chain(shape):
    """Three digits of ``factor * a + factor * b``, all of a carry."""

    def scale(zero_point):
        channels = shape[0]
        return Requantize((1,) * channels, (8,) * channels, zero_point, -128, 127, ENGINE.rounding)

    points = {"a": 3, "b": -128, "low": 0, "middle": 0, "y": 5}
    values = {name: TensorType(shape, 8, True, 1.0, point) for name, point in points.items()}
    sums = (
        ("low", ("a", "b"), [100, -120], -7),
        ("middle", ("low", "a", "b"), [1, -127, 90], -128),
        ("y", ("a", "b", "middle"), [300, -417, 1], -78),
    )
    ops = [
        WeightedSum(name, sources, name, np.array(factors), bias, scale(points[name]))
        for name, sources, factors, bias in sums
    ]
    return Graph("chain", values, (Input("a", "a"), Input("b", "b"), *ops, Output("out", "y")))


@pytest.mark.parametrize("shape", [(5, 4, 5), (9, 13, 7), (3, 1, 1)])
def test_chains_agree(shape):
    rng = np.random.default_rng(shape[1])
    graph = chain(shape)
    assert parse_graph(print_graph(graph)) == graph
    inputs = [rng.integers(-128, 128, (1, *shape)) for _ in range(2)]
    verify(compile_graph(graph, Target(engine=ENGINE)), inputs)


@pytest.mark.parametrize(
    ("sources", "factors", "text"),
    [
        (("a", "a"), [1, 2], "none twice"),
        (("a", "u"), [1, 2], "the same shape and sign"),
        (("a",), [1, 2], "one factor for each operand"),
        (("a",), [1 << 24], "accumulator"),
    ],
)
def test_wrong_operands_are_refused(sources, factors, text):
    kind = TensorType((1, 2, 2), 8, True, 1.0, 0)
    values = {"a": kind, "u": TensorType((1, 2, 2), 8, False, 1.0, 0), "y": kind}
    scale = Requantize((1,), (0,), 0, -128, 127)
    op = WeightedSum("sum", sources, "y", np.array(factors), 0, scale)
    graph = Graph("g", values, (Input("a", "a"), Input("u", "u"), op, Output("out", "y")))
    with pytest.raises(VerifyError, match=f"sum: WeightedSum.*{text}"):
        graph.verify()
