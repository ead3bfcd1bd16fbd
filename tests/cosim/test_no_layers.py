"""Networks that compute nothing."""

import numpy as np

from tilewright.api.compile import compile_graph
from tilewright.api.simulate import simulate
from tilewright.compiler.ir import Graph, Input, Output, TensorType
from tilewright.isa import EngineConfig
from tilewright.target import Target


def test_an_output_that_is_an_input():
    """The cycles of no command were an IndexError."""
    graph = Graph(
        "g", {"x": TensorType((3, 4, 5), 8, True, 1.0, 0)}, (Input("i", "x"), Output("o", "x"))
    )
    image = np.arange(60).reshape(1, 3, 4, 5)
    program = compile_graph(graph, Target(engine=EngineConfig(rows=4)))
    result = simulate(program, [image], backend="isa")
    np.testing.assert_array_equal(result.outputs[0], image)
    assert result.layers == ()
