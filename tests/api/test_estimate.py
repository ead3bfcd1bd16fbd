"""What a program will cost."""

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.cosim.random_networks import random_network
from tilewright.api.compile import compile_graph
from tilewright.api.estimate import estimate
from tilewright.api.simulate import simulate
from tilewright.sim.effects import Machine
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target


def programs(name, cases):
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        graph, inputs = random_network(rng, ENGINES[name], (9, 11))
        latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
        yield seed, compile_graph(graph, Target(engine=ENGINES[name], memory=latency)), inputs


@pytest.mark.parametrize("name", ENGINES)
def test_cycles_and_bytes_are_the_executors(name):
    for seed, program, inputs in programs(name, 4):
        figures, result = estimate(program), simulate(program, inputs)
        assert figures.cycles.value == result.cycles, f"seed {seed}"
        moved = figures.read.value, figures.written.value
        layers = result.layers
        assert moved == (
            sum(layer.bytes_read for layer in layers),
            sum(layer.bytes_written for layer in layers),
        ), f"seed {seed}"


def test_an_estimate_computes_no_value(monkeypatch):
    def refuse(*_):
        raise AssertionError("a value was computed")

    ((_, program, _),) = programs("4x4-bus64", 1)
    monkeypatch.setattr(Machine, "_execute", refuse)
    assert estimate(program).cycles.is_exact
