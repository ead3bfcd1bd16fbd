"""Additions read two operands like two channel groups, on whatever engine."""

import numpy as np
import pytest

from tilewright.api.compile import compile_graph
from tilewright.api.simulate import simulate
from tilewright.api.verify import compare_outputs, verify
from tilewright.compiler.ir import Add, Graph, Input, Output, Requantize, TensorType
from tilewright.isa import EngineConfig
from tilewright.target import Target


def addition(shape, shift):
    """Return a graph of ``x + z``, each shifted right before, and its inputs."""
    kind, channels = TensorType(shape, 8, True, 1.0, 0), shape[0]
    side = Requantize((1,) * channels, (shift,) * channels, 0, -128, 127)
    op = Add("add", "x", "z", "y", side, side, side, 8, True)
    ops = (Input("input", "x"), Input("other", "z"), op, Output("output", "y"))
    rng = np.random.default_rng(shift)
    return Graph("sum", dict.fromkeys("xyz", kind), ops), list(
        rng.integers(-128, 128, (2, 1, *shape))
    )


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("rows", [2, 4])
def test_an_addition_where_pairs_of_rows_are_all_rows(rows, shift):
    """With 2 rows and 4-bit weights the second operand was not read: 23 of 24 elements."""
    config = EngineConfig(rows=rows, weight_bits=4)
    graph, inputs = addition((2, 3, 4), shift)
    program = compile_graph(graph, Target(engine=config))
    compare_outputs(program, *(simulate(program, inputs, backend=b) for b in ("golden", "isa")))


@pytest.mark.slow
def test_an_addition_in_pairs_of_rows_equals_rtl():
    config = EngineConfig(
        rows=2, cols=3, weight_bits=4, act_depth=64, weight_depth=256, out_depth=64,
        bus_width=32, queue_depth=8, burst_beats=8,
    )  # fmt: skip
    graph, inputs = addition((5, 4, 7), 1)
    verify(compile_graph(graph, Target(engine=config)), inputs)
