"""The search takes what its cost model calls cheap, and nothing that does not fit."""

from dataclasses import replace
from itertools import pairwise

from tests.compiler.schedule.samples import conv, residual
from tests.compiler.timing import timing
from tilewright.compiler.ir import Graph, Input, Output, TensorType
from tilewright.compiler.schedule import lower, search
from tilewright.compiler.schedule.plan.cost import Cost, Estimate
from tilewright.isa import EngineConfig

CONFIG = EngineConfig(rows=4, cols=3, act_depth=1024, weight_depth=1024, out_depth=128)


def lowered_for(config):
    return lower(residual(), config, timing(config))


def stages_of(model):
    (schedule,) = search(lowered_for(CONFIG), model, command=20)
    return [len(choice.plan.group.stages) for choice in schedule.choices]


def test_a_model_that_counts_groups_gets_one():
    assert stages_of(lambda plan: Cost(1.0, 0)) == [4]


def test_a_model_that_dislikes_groups_gets_none():
    assert stages_of(lambda plan: Cost(len(plan.group.stages) ** 2, 0)) == [
        1,
        1,
        1,
        1,
    ]


def test_costs_are_those_of_the_model():
    lowered = lowered_for(CONFIG)
    model = Estimate(lowered, timing(CONFIG))
    (schedule,) = search(lowered, model, command=20)
    for choice in schedule.choices:
        assert choice.cost == model(choice.plan)


def test_the_few_best_are_different_and_in_order():
    lowered = lowered_for(CONFIG)
    model = Estimate(lowered, timing(CONFIG))
    best, *others = search(lowered, model, few=3, command=20)
    assert best.weighed == search(lowered, model, command=20)[0].weighed
    costs = [schedule.weighed for schedule in (best, *others)]
    assert costs == sorted(costs)
    groups = {
        tuple(len(choice.plan.group.stages) for choice in schedule.choices)
        for schedule in (best, *others)
    }
    assert len(groups) == len(costs) > 1


def test_traffic_keeps_more_on_chip_than_time_may():
    lowered = lowered_for(CONFIG)
    model = Estimate(lowered, timing(CONFIG))

    def moved(objective):
        (schedule,) = search(lowered, model, objective, command=20)
        return sum(choice.cost.traffic for choice in schedule.choices)

    assert moved("traffic") <= moved("time")


def test_whatever_does_not_fit_is_cut():
    """By columns where that is enough; 64 channels of three rows are too many for 16 words."""
    config = EngineConfig(rows=4, cols=3, act_depth=16, weight_depth=1024, out_depth=128)

    def first(channels):
        lowered = lower(residual(channels), config, timing(config))
        (schedule,) = search(lowered, Estimate(lowered, timing(config)), command=20)
        return schedule.choices[0].plan

    assert len(first(8).columns.strips) > 1
    assert first(8).parts is None
    assert first(64).parts is not None


def chain(layers):
    """Return equal convolutions, one behind the other."""
    values = [f"v{number}" for number in range(layers + 1)]
    kind = TensorType((8, 12, 10), 8, True, 1.0, 0)
    ops = [conv(f"c{n}", a, b, 8) for n, (a, b) in enumerate(pairwise(values))]
    ends = Input("input", values[0]), Output("output", values[-1])
    return Graph("chain", dict.fromkeys(values, kind), (ends[0], *ops, ends[1]))


def test_plans_looked_at_grow_as_the_network(monkeypatch):
    """Compilation took longer a layer, the more layers there were."""
    monkeypatch.setattr("tilewright.compiler.schedule.plan.search.MAX_STAGES", 4)
    asked = {}
    for layers in (8, 16, 24):
        lowered = lower(chain(layers), CONFIG, timing(CONFIG))
        plans = []
        search(lowered, lambda plan, plans=plans: plans.append(plan) or Cost(1.0, 0), command=20)
        asked[layers] = len(plans)
    assert asked[24] - asked[16] == asked[16] - asked[8]
    assert asked[24] < 3.5 * asked[8]


def test_what_is_not_loaded_ahead_costs_no_less():
    """So where the next strip has room beside the one in use, that alone is tried."""
    lowered = lowered_for(CONFIG)
    model = Estimate(lowered, timing(CONFIG))
    asked = []
    search(lowered, lambda plan: asked.append(plan) or model(plan), command=20)
    assert any(plan.ahead and plan.steps > 1 for plan in asked)
    for plan in asked:
        if plan.ahead and plan.steps > 1:
            assert model(replace(plan, ahead=False)).cycles >= model(plan).cycles
