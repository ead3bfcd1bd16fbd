"""Layers whose weights or channels do not fit on chip, in parts: golden == isa."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.random_deformable import random_deformable
from tests.cosim.random_layers import random_requantize
from tests.cosim.test_deform import ENGINE_NAMES, engine
from tests.strategies.agree import compare
from tests.strategies.small import compare_seed, in_parts
from tilewright.api.compile import compile_graph
from tilewright.compiler.ir import (
    AvgPool2d,
    Conv2d,
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Output,
    TensorType,
)
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import Compute, EngineConfig, LoadWeights, Unit
from tilewright.target import Target

ENGINE = EngineConfig(
    rows=4, cols=3, requantizers=2, act_depth=64, weight_depth=64, out_depth=64, bus_width=32
)
SUMS = replace(ENGINE, partial_depth=64)


def layer(kind, shape, out_shape, *arguments, **fields):
    """Return a graph of one layer, of 8-bit values."""
    x, y = (TensorType(s, 8, True, 1.0, 0) for s in (shape, out_shape))
    op = kind("layer", "x", "y", *arguments, **fields)
    return Graph("one", {"x": x, "y": y}, (Input("input", "x"), op, Output("output", "y")))


def requantize(channels):
    kind = TensorType((channels, 1, 1), 8, True, 1.0, 0)
    return random_requantize(np.random.default_rng(1), kind, 18)


def conv(channels, kernels, size, kernel, padding=(0, 0, 0, 0), groups=1):
    """Return a convolution of random weights."""
    weight = np.random.default_rng(0).integers(-128, 128, (kernels, channels // groups, *kernel))
    height = size[0] + padding[0] + padding[1] - kernel[0] + 1
    width = size[1] + padding[2] + padding[3] - kernel[1] + 1
    return layer(
        Conv2d, (channels, *size), (kernels, height, width), weight, 8,
        np.arange(kernels), (1, 1), padding, (1, 1), groups, requantize(kernels),
    )  # fmt: skip


def run(graph, config):
    """Compile, compare golden and isa, and return the program."""
    program = compile_graph(graph, Target(engine=config))
    rng = np.random.default_rng(2)
    inputs = [rng.integers(-128, 128, (1, *graph.values[i.output].shape)) for i in graph.inputs]
    assert compare(program, inputs).wrong == 0
    return program


def computes(program):
    commands = program.commands(Unit.COMPUTE)
    return [command for command in commands if isinstance(command, Compute)]


@pytest.mark.parametrize(
    "seeds", [range(12), pytest.param(range(12, 60), marks=[pytest.mark.exhaustive])]
)
def test_random_layers_with_buffers_of_a_few_words(seeds):
    cut = 0
    for seed in seeds:
        parts, wrong = compare_seed(seed)
        assert not wrong, f"seed {seed}: {wrong} elements differ"
        cut += parts
    assert cut > len(seeds) // 6


def test_samples_in_parts():
    """Their positions are those of the part's taps and channels, row by row."""
    cut = 0
    for seed in (11, 17, 23, 35):
        config = replace(engine(ENGINE_NAMES[seed % len(ENGINE_NAMES)]), weight_depth=32)
        graph, inputs = random_deformable(np.random.default_rng(seed), config)
        program = compile_graph(graph, Target(engine=config))
        assert compare(program, inputs).wrong == 0, f"seed {seed}"
        cut += in_parts(program)
    assert cut > 1


def test_sums_stay_in_the_array():
    program = run(conv(20, 8, (3, 5), (3, 3), (1, 1, 1, 1)), ENGINE)
    assert in_parts(program)
    commands = computes(program)
    assert any(c.resume for c in commands)
    assert not any(c.partial for c in commands)
    results = [c for c in commands if c.to_out]
    assert len(results) == 2 * 3 * 2  # a pass each
    assert all(c.resume for c in results)


def test_sums_of_several_passes_stay_in_the_memory_of_partial_sums():
    program = run(conv(40, 8, (5, 5), (3, 3), (1, 1, 1, 1)), SUMS)
    commands = computes(program)
    assert all(c.partial for c in commands)
    assert not any(c.resume for c in commands)
    assert max(c.n_oy * c.n_ox for c in commands) > 1
    assert sum(c.first for c in commands) == sum(c.last for c in commands)


def test_weights_that_fit_are_not_in_parts():
    graph = conv(8, 8, (5, 5), (3, 3))
    assert in_parts(run(graph, ENGINE))
    assert not in_parts(run(graph, replace(ENGINE, weight_depth=128)))


@pytest.mark.parametrize(
    ("kernel", "size", "groups", "config"),
    [((1, 1025), (1, 30), 1, ENGINE), ((1, 300), (1, 302), 1, SUMS), ((300, 1), (302, 1), 2, SUMS)],
)
def test_kernels_of_any_number_of_taps(kernel, size, groups, config):
    padding = (0, 0, 512, 512) if kernel[1] > 512 else (0, 0, 0, 0)
    run(conv(2, 2, size, kernel, padding, groups), config)


def test_maxima_of_any_number_of_taps():
    graph = layer(MaxPool2d, (3, 2, 302), (3, 1, 3), (2, 300), (1, 1), (0, 0, 0, 0), (1, 1))
    assert any(c.maximum and c.resume for c in computes(run(graph, ENGINE)))


def test_a_linear_layer_of_any_number_of_inputs():
    weight = np.random.default_rng(3).integers(-128, 128, (6, 40 * 3 * 3))
    graph = layer(Linear, (40, 3, 3), (6, 1, 1), weight, 8, np.arange(6), requantize(6))
    run(graph, replace(ENGINE, act_depth=16, weight_depth=16))


def test_equal_weights_are_loaded_once():
    """Those of an average: all rows of the kernel alike."""
    graph = layer(AvgPool2d, (3, 64, 9), (3, 1, 1), (64, 9), (1, 1), (0, 0, 0, 0), requantize(3))
    program = run(graph, ENGINE)
    loads = [c for c in program.commands(Unit.LOAD) if isinstance(c, LoadWeights)]
    assert len({load.address for load in loads}) == len(loads) < 5 < len(computes(program))


def test_an_engine_too_small_for_the_smallest_part():
    graph = conv(64, 8, (3, 3), (3, 3))
    with pytest.raises(EngineLimitError, match=r"one channel group .* at least 32, not 16"):
        compile_graph(graph, Target(engine=replace(ENGINE, rows=32, weight_depth=16)))
