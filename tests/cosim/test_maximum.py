"""The larger of two maps is a maximum over two channel groups: golden == isa == rtl."""

import numpy as np
import pytest

from tilewright.api.compile import compile_graph
from tilewright.api.simulate import simulate
from tilewright.api.verify import compare_outputs, verify
from tilewright.compiler.ir import Graph, Input, Maximum, Output, Requantize, Rescale, TensorType
from tilewright.errors import UnsupportedError
from tilewright.isa import EngineConfig
from tilewright.target import Target

SMALL = {"cols": 3, "act_depth": 64, "weight_depth": 256, "out_depth": 64, "bus_width": 32}


def larger(rng, channels, *, signed=True, zero_point=3):
    """Return a graph of ``maximum(x, z)``, and ``maximum`` of that with x again, and its inputs."""
    kind = TensorType((channels, 4, 7), 8, signed, 1.0, zero_point)
    ops = (
        Input("input", "x"),
        Input("other", "z"),
        Maximum("larger", "x", "z", "y"),
        Maximum("again", "y", "x", "w"),
        Output("output", "w"),
    )
    graph = Graph("larger", dict.fromkeys("xzyw", kind), ops)
    return graph, list(rng.integers(kind.qmin, kind.qmax + 1, (2, 2, *kind.shape)))


@pytest.mark.parametrize("rows", [2, 4])
@pytest.mark.parametrize("channels", [1, 4, 9])
def test_isa_equals_numpy(rows, channels):
    rng = np.random.default_rng(channels)
    graph, (x, z) = larger(rng, channels)
    program = compile_graph(graph, Target(engine=EngineConfig(rows=rows, **SMALL)))
    results = [simulate(program, [x, z], backend=backend) for backend in ("golden", "isa")]
    np.testing.assert_array_equal(results[0].outputs[0], np.maximum(x, z))
    compare_outputs(program, *results)


def test_4_bit_weights_compare_what_is_not_negative():
    config = EngineConfig(rows=4, weight_bits=4, **SMALL)
    rng = np.random.default_rng(0)
    graph, inputs = larger(rng, 6, signed=False, zero_point=0)
    program = compile_graph(graph, Target(engine=config))
    compare_outputs(program, *(simulate(program, inputs, backend=b) for b in ("golden", "isa")))
    with pytest.raises(UnsupportedError, match="larger: the input can be negative"):
        compile_graph(larger(rng, 6)[0], Target(engine=config))


def test_an_engine_without_maximum_says_so():
    config = EngineConfig(rows=4, maximum=False, **SMALL)
    with pytest.raises(UnsupportedError, match="larger: the engine was built with maximum=False"):
        compile_graph(larger(np.random.default_rng(0), 3)[0], Target(engine=config))


@pytest.mark.slow
def test_equals_rtl():
    """Behind a layer that leaves its values on chip, and from memory."""
    graph, inputs = larger(np.random.default_rng(1), 5)
    kind = graph.values["x"]
    keep = Requantize((1,) * 5, (0,) * 5, kind.zero_point, kind.qmin, kind.qmax)
    ops = (*graph.ops[:2], Rescale("before", "z", "v", keep))
    ops = (*ops, Maximum("larger", "x", "v", "y"), *graph.ops[3:])
    graph = Graph("larger", {**graph.values, "v": kind}, ops)
    config = EngineConfig(rows=2, queue_depth=8, burst_beats=8, **SMALL)
    verify(compile_graph(graph, Target(engine=config)), inputs)
