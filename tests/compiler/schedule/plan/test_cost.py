"""The cost of a plan: whatever model is handed to the search decides."""

import numpy as np
import pytest

from tests.compiler.timing import timing
from tests.cosim.engines import ENGINES
from tests.cosim.random_networks import random_network
from tilewright.compiler.schedule import lower, search
from tilewright.compiler.schedule.plan.cost import Cost

CONFIG = ENGINES["4x4-bus64"]


def lowered(seed):
    graph, _ = random_network(np.random.default_rng(seed), CONFIG, (12, 14))
    return lower(graph, CONFIG, timing(CONFIG))


def by_groups(plan):
    """A group costs one, however it runs."""
    return Cost(1.0, 0)


def by_stages(plan):
    """A group costs more than the stages apart."""
    return Cost(float(len(plan.group.stages)) ** 2, 0)


@pytest.mark.parametrize("seed", range(4))
def test_the_model_that_is_handed_in_decides(seed):
    network = lowered(seed)
    few = search(network, by_groups, command=20)[0].choices
    many = search(network, by_stages, command=20)[0].choices
    assert len(many) == len(network.stages)
    assert len(few) < len(many)
    assert sum(len(choice.plan.group.stages) for choice in few) == len(network.stages)
    assert sum(choice.cost.cycles for choice in few) == len(few)
