"""golden == isa == rtl, every element and every command's cycle, on random layers."""

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_layer
from tests.seeds import seeds
from tilewright.api.compile import compile_graph
from tilewright.api.verify import verify
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target


@pytest.mark.slow
@seeds(25, 60)
@pytest.mark.parametrize("engine", ENGINES)
def test_random_layers_agree(engine, cases):
    config = ENGINES[engine]
    for seed in cases:
        rng = np.random.default_rng(seed)
        latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
        graph, inputs = random_layer(rng, config)
        program = compile_graph(graph, Target(engine=config, memory=latency))
        try:
            verify(program, inputs)
        except Exception as error:
            pytest.fail(f"seed {seed}, {graph.name}, engine {engine}: {error}")
