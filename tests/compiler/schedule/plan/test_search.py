"""The search takes what its cost model calls cheap, and nothing that does not fit."""

from tests.compiler.schedule.samples import residual
from tilewright.compiler.schedule import lower, search
from tilewright.compiler.schedule.plan.cost import Cost, estimate
from tilewright.isa import EngineConfig

CONFIG = EngineConfig(rows=4, cols=3, act_depth=1024, weight_depth=1024, out_depth=128)


def stages_of(model):
    lowered = lower(residual(), CONFIG)
    return [len(choice.plan.group.stages) for choice in search(lowered, CONFIG, model=model)]


def test_a_model_that_counts_groups_gets_one():
    assert stages_of(lambda plan, lowered, config: Cost(1.0, 0)) == [4]


def test_a_model_that_dislikes_groups_gets_none():
    assert stages_of(lambda plan, lowered, config: Cost(len(plan.group.stages) ** 2, 0)) == [
        1,
        1,
        1,
        1,
    ]


def test_costs_are_those_of_the_model():
    lowered = lower(residual(), CONFIG)
    for choice in search(lowered, CONFIG):
        assert choice.cost == estimate(choice.plan, lowered, CONFIG)


def test_traffic_keeps_more_on_chip_than_time_may():
    lowered = lower(residual(), CONFIG)
    moved = {
        objective: sum(choice.cost.traffic for choice in search(lowered, CONFIG, objective))
        for objective in ("time", "traffic")
    }
    assert moved["traffic"] <= moved["time"]


def test_whatever_does_not_fit_is_cut():
    """By columns where that is enough; 64 channels of three rows are too many for 16 words."""
    config = EngineConfig(rows=4, cols=3, act_depth=16, weight_depth=1024, out_depth=128)
    plans = {channels: search(lower(residual(channels), config), config) for channels in (8, 64)}
    first = {channels: choices[0].plan for channels, choices in plans.items()}
    assert len(first[8].columns.strips) > 1
    assert first[8].parts is None
    assert first[64].parts is not None
