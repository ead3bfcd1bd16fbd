"""golden == isa, every element, on random deformable layers and networks of them."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.cosim.random_deformable import random_deformable, random_network
from tilewright import Target
from tilewright.executors import compare_outputs, simulate
from tilewright.program import compile_graph

CASES = 40


def engine(name, **changes):
    return replace(ENGINES[name], offset_depth=1024, **({"act_depth": 512} | changes))


def compiled(graph, config):
    return compile_graph(graph, Target(engine=config))


def check(program, inputs):
    arrays = program.quantize(inputs)
    golden, isa = (simulate(program, arrays, backend=name) for name in ("golden", "isa"))
    compare_outputs(program, golden, isa)


@pytest.mark.parametrize("name", ENGINES)
def test_random_layers_agree(name):
    for seed in range(CASES):
        config = engine(name)
        graph, inputs = random_deformable(np.random.default_rng(seed), config)
        try:
            check(compiled(graph, config), inputs)
        except Exception as error:
            pytest.fail(f"seed {seed}, {graph.name}, engine {name}: {error}")


@pytest.mark.parametrize("name", ENGINES)
def test_random_networks_agree(name):
    """Offsets are computed, stored and loaded strip by strip, in the group that uses them."""
    fused = 0
    for seed in range(CASES // 2):
        # So little that many networks need several strips.
        config = engine(name, act_depth=512 // ENGINES[name].cols)
        graph, inputs = random_network(np.random.default_rng(seed), config)
        program = compiled(graph, config)
        for group in program.schedule:
            names = {layer.name for layer in group.layers}
            fused += group.strips > 1 and bool({"first.offset", "first"} <= names)
        try:
            check(program, inputs)
        except Exception as error:
            pytest.fail(f"seed {seed}, engine {name}: {error}")
    assert fused


def test_offsets_far_outside_need_no_rows():
    """Rows that do not exist are not kept, however far offsets reach."""
    config = engine("4x4-bus64")
    graph, inputs = random_deformable(np.random.default_rng(3), config, reach=128)
    check(compiled(graph, config), inputs)
