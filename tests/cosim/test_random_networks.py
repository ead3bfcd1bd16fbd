"""golden == isa == rtl, every element and every command's cycle, on random small networks."""

import numpy as np
import pytest

from tests.compiler.timing import timing
from tests.cosim.engines import ENGINES
from tests.cosim.random_networks import random_network
from tests.seeds import seeds
from tilewright.api.compile import compile_graph
from tilewright.api.verify import verify
from tilewright.compiler.codegen import assemble
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target


@pytest.mark.slow
@seeds(6, 12)
@pytest.mark.parametrize("engine", ENGINES)
def test_random_networks_agree(engine, cases):
    config = ENGINES[engine]
    fused, striped = 0, 0
    for seed in cases:
        rng = np.random.default_rng(seed)
        latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
        size = tuple(int(n) for n in rng.integers(3, 30, 2))
        graph, inputs = random_network(rng, config, size)
        program = compile_graph(graph, Target(engine=config, memory=latency))
        plans = assemble(graph, config, timing(config)).plans
        fused += any(len(plan.group.stages) > 1 for plan in plans)
        striped += any(len(plan.group.stages) > 1 and plan.steps > 1 for plan in plans)
        try:
            verify(program, inputs)
        except Exception as error:
            pytest.fail(f"seed {seed}, engine {engine}: {error}")
    # What the test is for does happen: layers share the chip, whole and strip by strip.
    assert fused
    assert striped
