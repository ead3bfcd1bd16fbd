"""Verifiers accept what the compiler makes, and name what is wrong with anything else."""

from dataclasses import replace

import numpy as np
import pytest

from tests.compiler.schedule.samples import residual
from tests.compiler.timing import timing
from tilewright.compiler.ir import Constant, Input, TensorType
from tilewright.compiler.schedule import Estimate, lower, search
from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.plan.columns import whole_rows
from tilewright.compiler.schedule.plan.flow import Flow
from tilewright.compiler.schedule.plan.group import make_group
from tilewright.compiler.schedule.plan.rings import read_groups
from tilewright.compiler.schedule.plan.strips import Draft, Plan, place
from tilewright.compiler.schedule.plan.weights import plan_weights
from tilewright.compiler.schedule.verify import (
    ScheduleFault,
    verify_lowered,
    verify_plan,
    verify_schedule,
)
from tilewright.isa import EngineConfig

CONFIG = EngineConfig(rows=4, cols=3, act_depth=512, weight_depth=1024, out_depth=128)


def plans_of(lowered):
    (schedule,) = search(lowered, Estimate(lowered, timing(CONFIG)), command=20)
    return [choice.plan for choice in schedule.choices]


@pytest.fixture
def lowered():
    return lower(residual(), CONFIG, timing(CONFIG))


@pytest.fixture
def plan(lowered):
    """Return a plan of all stages in several strips."""
    group = make_group(lowered, 0, len(lowered.stages))
    strips = (2, 4, 6)
    blocks = (Block(0, 2),)
    flow = Flow(lowered, strips, early=False)
    draft = Draft(
        group=group, strips=strips, blocks=blocks, columns=whole_rows(group, lowered),
        ahead=False, early=False, flow=flow, frontier=flow.frontier(group),
        spans=(read_groups(group, lowered, CONFIG, None),),
        weights=plan_weights(group, CONFIG, blocks, len(strips)),
    )  # fmt: skip
    plan = place(draft, lowered, CONFIG)
    assert isinstance(plan, Plan)
    verify_plan(plan, lowered)
    return plan


def test_what_the_compiler_makes_is_right(lowered):
    verify_schedule(lowered, plans_of(lowered))


def test_what_the_program_holds_is_there_from_the_start():
    kind = TensorType((8, 12, 10), 8, True, 1.0, 0)
    held = Constant("held", "x", np.ones(kind.shape, np.int64))
    graph = residual()
    ops = (Input("unused", "z"), held, *graph.ops[1:])
    graph = replace(graph, values={**graph.values, "z": kind}, ops=ops)
    verify_lowered(lower(graph, CONFIG, timing(CONFIG)))


def test_stages_out_of_order(lowered):
    wrong = replace(lowered, stages=lowered.stages[::-1])
    with pytest.raises(ScheduleFault, match="pool: reads 's' before it is written"):
        verify_lowered(wrong)


def test_a_value_written_twice(lowered):
    wrong = replace(lowered, stages=(lowered.stages[0], *lowered.stages))
    with pytest.raises(ScheduleFault, match="first: writes 'a' again"):
        verify_lowered(wrong)


def test_sections_that_leave_kernel_groups_out(lowered):
    op = lowered.stages[0].ops[0]
    (section,) = op.sections
    short = replace(section, weights=section.weights[:-1])
    arrangement = replace(op.weights.arrangement, sections=(short,))
    stage = Stage((replace(op, weights=replace(op.weights, arrangement=arrangement)),))
    with pytest.raises(ScheduleFault, match="first: it computes 1 of 2 kernel groups"):
        verify_lowered(replace(lowered, stages=(stage, *lowered.stages[1:])))


def test_stages_that_no_plan_has(lowered):
    plans = plans_of(lowered)
    with pytest.raises(ScheduleFault, match="plans leave stages out"):
        verify_schedule(lowered, plans[:-1])


def test_a_row_that_is_read_before_it_is_complete(lowered, plan):
    stage = plan.group.stages[-1]
    value = stage.inputs[0]
    rows = plan.frontier[value]
    late = (0, *(row - 1 for row in rows[1:-1]), rows[-1])
    wrong = replace(plan, frontier={**plan.frontier, value: late})
    with pytest.raises(ScheduleFault, match=f"reads '{value}' up to row"):
        verify_plan(wrong, lowered)


def test_rows_that_are_not_all_computed(lowered, plan):
    value = next(iter(plan.group.stores))
    rows = plan.frontier[value]
    wrong = replace(plan, frontier={**plan.frontier, value: (*rows[:-1], rows[-1] - 1)})
    with pytest.raises(ScheduleFault, match="rows are computed"):
        verify_plan(wrong, lowered)


def test_values_on_top_of_each_other(lowered, plan):
    rings = {value: replace(ring, base=0) for value, ring in plan.rings[0].items()}
    with pytest.raises(ScheduleFault, match="share room and live together"):
        verify_plan(replace(plan, rings=(rings,)), lowered)


def test_weights_of_no_block(lowered, plan):
    blocks = ((), *plan.weights.blocks[1:])
    wrong = replace(plan, weights=replace(plan.weights, blocks=blocks))
    with pytest.raises(ScheduleFault, match="blocks do not cover its weights"):
        verify_plan(wrong, lowered)
