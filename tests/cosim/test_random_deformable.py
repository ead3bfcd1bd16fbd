"""golden == isa == rtl on random deformable layers and networks of them."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.cosim.random_deformable import random_deformable, random_network
from tests.cosim.test_deform import ENGINE_NAMES, engine
from tests.seeds import seeds
from tilewright.api.compile import compile_graph
from tilewright.api.simulate import simulate
from tilewright.api.verify import compare_outputs, verify
from tilewright.compiler.ir import DeformConv2d
from tilewright.compiler.schedule import EngineLimitError
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target


def compiled(graph, config, latency=(20, 5), algorithm="auto"):
    target = Target(engine=config, memory=MemoryTiming(*latency))
    layers = [op.name for op in graph.layers if isinstance(op, DeformConv2d)]
    return compile_graph(graph, target, algorithms=dict.fromkeys(layers, algorithm))


def check(program, inputs):
    arrays = program.quantize(inputs)
    golden, isa = (simulate(program, arrays, backend=name) for name in ("golden", "isa"))
    compare_outputs(program, golden, isa)


@seeds(15, 40)
@pytest.mark.parametrize("name", ENGINES)
def test_random_layers_agree(name, cases):
    config = replace(engine(name), act_depth=512)
    for seed in cases:
        graph, inputs = random_deformable(np.random.default_rng(seed), config)
        try:
            check(compiled(graph, config), inputs)
        except Exception as error:
            pytest.fail(f"seed {seed}, {graph.name}, engine {name}: {error}")


@seeds(22, 40)
@pytest.mark.parametrize("name", ENGINES)
def test_samples_in_memory_agree(name, cases):
    """Also where so few rows fit that offsets are taken in classes."""
    compared = cut = 0
    config = engine(name)
    config = replace(config, act_depth=max(16, 72 // config.cols))
    for seed in cases:
        rng = np.random.default_rng(seed)
        graph, inputs = random_deformable(rng, config, reach=64)
        try:
            program = compiled(graph, config, algorithm="sampled")
            check(program, inputs)
        except EngineLimitError:  # not even the rows of one offset fit
            continue
        except Exception as error:
            pytest.fail(f"seed {seed}, {graph.name}, engine {name}: {error}")
        kinds = [layer.kind for group in program.schedule for layer in group.layers]
        assert kinds.count("Sample") >= 1
        compared += 1
        cut += kinds.count("Sample") > 1
    assert compared > 0.75 * len(cases)
    assert cut


@seeds(8, 20)
@pytest.mark.parametrize("name", ENGINES)
def test_random_networks_agree(name, cases):
    # So little that many networks need several strips.
    config = replace(engine(name), act_depth=768 // ENGINES[name].cols)
    for seed in cases:
        graph, inputs = random_network(np.random.default_rng(seed), config)
        try:
            check(compiled(graph, config), inputs)
        except Exception as error:
            pytest.fail(f"seed {seed}, engine {name}: {error}")


def test_offsets_come_back_from_memory_strip_by_strip():
    """In the group that computes them."""
    config = replace(engine("8x7-bus32"), act_depth=768 // 7)
    fused = 0
    for seed in range(10):
        graph, inputs = random_network(np.random.default_rng(seed), config)
        program = compiled(graph, config)
        for group in program.schedule:
            names = {layer.name for layer in group.layers}
            pairs = ({f"{layer}.offset", layer} for layer in ("first", "second"))
            fused += group.strips > 1 and any(pair <= names for pair in pairs)
        check(program, inputs)
    assert fused


@pytest.mark.slow
@seeds(25, 70)
@pytest.mark.parametrize("name", ENGINE_NAMES)
def test_rtl_agrees(name, cases):
    """Every element and every command's cycle."""
    config = engine(name)
    for seed in cases:
        rng = np.random.default_rng(seed)
        latency = rng.integers(1, 60, 2).tolist()
        generate = random_network if seed % 4 == 3 else random_deformable
        graph, inputs = generate(rng, config)
        program = compiled(graph, config, latency, "sampled" if seed % 4 == 0 else "auto")
        try:
            verify(program, inputs)
        except Exception as error:
            pytest.fail(f"seed {seed}, {graph.name}, engine {name}: {error}")


def test_offsets_far_outside_need_no_rows():
    """Rows that do not exist are not kept, however far offsets reach."""
    config = engine("4x4-bus64")
    graph, inputs = random_deformable(np.random.default_rng(3), config, reach=128)
    check(compiled(graph, config), inputs)
