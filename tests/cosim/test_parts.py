"""Sums in parts: golden == isa == rtl, every element and every command's cycle."""

import numpy as np
import pytest

from tests.cosim.random_layers import random_layer
from tests.strategies.small import in_parts
from tilewright.api.compile import compile_graph
from tilewright.api.verify import verify
from tilewright.isa import EngineConfig
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

ENGINES = {
    "in the array": EngineConfig(
        rows=2, cols=2, requantizers=1, act_depth=16, weight_depth=16, out_depth=16, bus_width=32,
        queue_depth=8, burst_beats=4, outstanding=1, multiplier_width=16, acc_width=24,
        prefetch=False, pipelined=False, counters=False, early_parameters=False, dsp="ice40",
    ),
    "in partial sums": EngineConfig(
        rows=4, cols=3, act_depth=48, weight_depth=32, out_depth=64, bus_width=64, queue_depth=16,
        burst_beats=8, partial_depth=64,
    ),
}  # fmt: skip
CASES = {"in the array": 16, "in partial sums": 6}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_random_layers_agree(engine):
    config, seed, cut = ENGINES[engine], 0, 0
    while cut < CASES[engine]:
        rng = np.random.default_rng(seed)
        latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
        graph, inputs = random_layer(rng, config)
        program = compile_graph(graph, Target(engine=config, memory=latency))
        seed += 1
        if not in_parts(program):
            continue
        cut += 1
        try:
            verify(program, inputs)
        except Exception as error:
            pytest.fail(f"seed {seed - 1}, {graph.name}, engine {engine}: {error}")
