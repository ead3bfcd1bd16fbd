"""golden == isa == rtl on engines that round as TFLite's reference kernels do."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.random_layers import random_layer
from tilewright.api.compile import compile_graph
from tilewright.api.verify import verify
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import ConfigError, EngineConfig
from tilewright.target import Target

ENGINE = EngineConfig(
    rows=4, cols=3, act_depth=512, weight_depth=2048, out_depth=256, bus_width=32,
    queue_depth=16, multiplier_width=31, rounding="double",
)  # fmt: skip


def test_random_layers_agree():
    for seed in range(14):
        rng = np.random.default_rng(seed)
        graph, inputs = random_layer(rng, ENGINE)
        program = compile_graph(graph, Target(engine=ENGINE))
        try:
            verify(program, inputs)
        except Exception as error:
            pytest.fail(f"seed {seed}, {graph.name}: {error}")


@pytest.mark.parametrize("rounding", ["half_even", "double"])
def test_a_graph_that_rounds_otherwise_is_refused(rounding):
    graph, _ = random_layer(np.random.default_rng(0), replace(ENGINE, rounding=rounding))
    other = {"half_even": "double", "double": "half_even"}[rounding]
    with pytest.raises(EngineLimitError, match=f'layer: .* take one with rounding="{rounding}"'):
        compile_graph(graph, Target(engine=replace(ENGINE, rounding=other)))


def test_two_roundings_take_31_bits():
    with pytest.raises(ConfigError, match='multiplier_width must be 31 with rounding="double"'):
        EngineConfig(rounding="double")


def test_an_engine_that_rounds_otherwise_refuses_the_program():
    once = replace(ENGINE, rounding="half_even")
    assert once.digest != ENGINE.digest
    assert EngineConfig.from_json(ENGINE.to_json()) == ENGINE
