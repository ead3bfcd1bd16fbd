"""Rows of values, step by step."""

from dataclasses import replace

import pytest

from tests.compiler.schedule.samples import conv, residual
from tests.compiler.timing import timing
from tilewright.compiler.ir import Graph, Input, Output, TensorType
from tilewright.compiler.schedule import lower
from tilewright.compiler.schedule.plan.flow import Flow
from tilewright.compiler.schedule.plan.group import make_group
from tilewright.isa import EngineConfig

CONFIG = EngineConfig(rows=4, cols=3, act_depth=1024, weight_depth=1024, out_depth=128)


@pytest.mark.parametrize("strips", [(6,), (2, 4, 6), (1, 3, 5, 6)])
def test_groups_that_end_alike_share_what_is_found(strips):
    """A group that begins sooner, or later, gets what it would find by itself."""
    lowered = lower(residual(), CONFIG, timing(CONFIG))
    count = len(lowered.stages)
    for firsts in (range(count), range(count - 1, -1, -1)):
        shared = Flow(lowered, strips, early=False)
        for first in firsts:
            group, alone = (
                make_group(lowered, first, count - first),
                Flow(lowered, strips, early=False),
            )
            frontier = shared.frontier(group)
            assert frontier == alone.frontier(group)
            for value in group.consumers:
                kept = shared.kept(group, value, frontier)
                assert kept == alone.kept(group, value, frontier)


def test_a_value_of_which_a_group_reads_some_rows_is_stored_whole():
    """A row taken of a result: where the group before it was looked at last, only that row was."""
    kind, row = (TensorType((4, n, 10), 8, True, 1.0, 0) for n in (12, 1))
    first = replace(conv("row", "a", "r", 4, kernel=1), stride=(12, 1))
    ops = (
        Input("input", "x"), conv("all", "x", "a", 4), first, Output("first", "a"),
        Output("second", "r"),
    )  # fmt: skip
    lowered = lower(Graph("rows", {"x": kind, "a": kind, "r": row}, ops), CONFIG, timing(CONFIG))
    flow = Flow(lowered, (1,), early=False)
    assert flow.frontier(make_group(lowered, 1, 1))["a"] == (0, 1)
    assert flow.frontier(make_group(lowered, 0, 2))["a"] == (0, 12)


def test_groups_store_what_is_read_behind_them():
    lowered = lower(residual(), CONFIG, timing(CONFIG))
    # x -> a -> b -> s = b + x -> y
    assert make_group(lowered, 0, 2).stores == {"b"}
    assert make_group(lowered, 0, 2).loads == ("x",)
    assert make_group(lowered, 1, 2).loads == ("a", "x")
    assert make_group(lowered, 0, 4).stores == {"y"}
