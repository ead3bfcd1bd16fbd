"""Factors of channels, of maps with zero points: golden == isa == rtl, elements and cycles."""

import numpy as np
import pytest

from tests.strategies.agree import verified
from tilewright.api.compile import compile_graph
from tilewright.api.simulate import simulate
from tilewright.api.verify import compare_outputs
from tilewright.compiler.ir import Gate, Graph, Input, Output, Requantize, TensorType
from tilewright.isa import Compute, EngineConfig, Unit
from tilewright.isa.passes import command_parts, kernel_group_cycles
from tilewright.target import Target

SMALL = {"act_depth": 1024, "weight_depth": 1024, "out_depth": 128, "bus_width": 32}
ENGINES = {
    "2x2": EngineConfig(rows=2, cols=2, queue_depth=8, prefetch=False, dsp="ecp5", **SMALL),
    "4x3": EngineConfig(rows=4, cols=3, requantizers=2, early_parameters=False, **SMALL),
    "2x5": EngineConfig(rows=2, cols=5, shared_words=True, tables=1, **SMALL),
}
SCALE = (3, 9, 5)


def gated(shape, signed, zero_point):
    """Return a graph of one gate, whose factors are the second input."""
    channels, (multiplier, shift, zero) = shape[0], SCALE
    values = {
        "x": TensorType(shape, 8, signed, 1.0, zero_point),
        "f": TensorType((channels, 1, 1), 8, True, 1.0, 0),
        "y": TensorType(shape, 8, True, 1.0, zero),
    }
    requantize = Requantize((multiplier,) * channels, (shift,) * channels, zero, -128, 127)
    ops = (Input("x", "x"), Input("f", "f"), Gate("g", "x", "f", "y", requantize), Output("o", "y"))
    return Graph("gated", values, ops)


def values(rng, kind):
    """Return two random images; every corner of the range is among them."""
    x = rng.integers(kind.qmin, kind.qmax + 1, (2, *kind.shape))
    ends = rng.random(x.shape) < 0.2
    return np.where(ends, rng.choice([kind.qmin, kind.qmax, kind.zero_point], x.shape), x)


def expected(x, zero_point, factors):
    multiplier, shift, zero = SCALE
    exact = (x - zero_point) * factors * multiplier
    low, rest = exact >> shift, exact & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    low = low + ((rest > half) | ((rest == half) & (low % 2 == 1)))
    return np.clip(low + zero, -128, 127)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("zero", [0, 1, -7, 127, -127, -128])
def test_zero_points_and_signs(engine, signed, zero):
    rng = np.random.default_rng(0)
    graph = gated((5, 3, 4), signed, zero if signed else zero + 128)
    inputs = [values(rng, graph.values[v]) for v in "xf"]
    program = compile_graph(graph, Target(engine=ENGINES[engine]))
    golden, isa = (simulate(program, inputs, backend=backend) for backend in ("golden", "isa"))
    wanted = expected(inputs[0], graph.values["x"].zero_point, inputs[1])
    np.testing.assert_array_equal(golden.outputs[0], wanted)
    compare_outputs(program, golden, isa)


@pytest.mark.parametrize("shape", [(3, 70, 2), (3, 130, 5), (2, 9, 200), (1, 1, 1), (9, 64, 3)])
def test_maps_with_more_rows_than_a_command_can_look_past(shape):
    rng = np.random.default_rng(1)
    graph = gated(shape, True, 9)
    inputs = [values(rng, graph.values[v]) for v in "xf"]
    program = compile_graph(graph, Target(engine=ENGINES["4x3"]))
    golden, isa = (simulate(program, inputs, backend=backend) for backend in ("golden", "isa"))
    compare_outputs(program, golden, isa)


def test_a_zero_point_costs_no_cycle_of_a_pass():
    """A second step is free, as a pass takes as long as its results need to leave the array."""
    config = ENGINES["4x3"]
    cycles = []
    for zero in (0, 9):
        commands = compile_graph(gated((4, 8, 12), True, zero), Target(engine=config)).commands(
            Unit.COMPUTE
        )
        gates = [c for c in commands if isinstance(c, Compute)]
        assert {c.windows for c in gates} == {2 if zero else 1}
        cycles.append([kernel_group_cycles(config, c, command_parts(config, c)) for c in gates])
    assert cycles[0] == cycles[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_random_gates_equal_rtl(name):
    for seed in range(4):
        try:
            verified(np.random.default_rng(seed), ENGINES[name], Gate)
        except Exception as error:
            raise AssertionError(f"{name}, seed {seed}") from error
