"""Counts of completed commands that are narrower than the fields that wait for them."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_layer
from tilewright.api.compile import compile_graph
from tilewright.compiler.schedule import EngineLimitError
from tilewright.target import Target


def test_counts_that_are_too_narrow_are_refused_with_the_width_that_is_not():
    config = replace(ENGINES["4x2-small"], count_width=6)
    # Some hundred commands, of which those that load weights run far ahead of those that store.
    graph, _ = random_layer(np.random.default_rng(10), config)
    with pytest.raises(EngineLimitError, match="count_width must be at least 7, not 6"):
        compile_graph(graph, Target(engine=config))
    compile_graph(graph, Target(engine=replace(config, count_width=7)))
