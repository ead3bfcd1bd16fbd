"""Strips of columns: what each value has of them, and where they may end."""

from dataclasses import replace

import numpy as np
import pytest

from tests.compiler.schedule.samples import conv, residual
from tests.compiler.timing import timing
from tilewright.api.compile import compile_graph
from tilewright.api.simulate import simulate
from tilewright.compiler.ir import Concat, Graph, Input, Output, TensorType
from tilewright.compiler.schedule import Estimate, lower, search
from tilewright.compiler.schedule.plan.columns import column_cuts, whole_rows
from tilewright.compiler.schedule.plan.group import make_group
from tilewright.compiler.schedule.verify import ScheduleFault, verify_plan
from tilewright.isa import Compute, EngineConfig, LoadActivations, Store, Unit
from tilewright.target import Target

CONFIG = EngineConfig(rows=4, cols=3, act_depth=1024, weight_depth=1024, out_depth=128)


def cuts(graph, config=CONFIG):
    lowered = lower(graph, config, timing(config))
    group = make_group(lowered, 0, len(lowered.stages))
    return [cut.strips for cut in column_cuts(group, lowered, config)]


def choices_of(lowered):
    (schedule,) = search(lowered, Estimate(lowered, timing(lowered.config)), command=20)
    return schedule.choices


def single(size=(8, 60), channels=8):
    kind = TensorType((channels, *size), 8, True, 1.0, 0)
    ops = (Input("i", "x"), conv("layer", "x", "y", channels), Output("o", "y"))
    return Graph("single", {"x": kind, "y": kind}, ops)


def test_neighbours_share_a_halo_that_ends_at_the_border():
    strips = cuts(single())[0]
    assert [strip.columns["y"] for strip in strips] == [(0, 30), (30, 60)]
    # A beat of the bus is two pixels: a strip begins with a whole one.
    assert [strip.columns["x"] for strip in strips] == [(0, 31), (28, 60)]


def test_strips_are_whole_words_until_they_have_but_one():
    widths = [strips[0].columns["y"][1] for strips in cuts(single())]
    assert widths == sorted(widths, reverse=True)
    assert all(width % 6 == 0 for width in widths if width >= 6)
    assert widths[-1] == CONFIG.beat_pixels == 2


def test_layers_that_run_together_compute_their_halos():
    """Of a pixel more than of b, and of x one more than of a.

    The sum reads x and b alike, so the rows of b begin with a column that is not computed.
    """
    first, second = cuts(residual())[0]
    assert [strip.columns["y"] for strip in (first, second)] == [(0, 4), (4, 5)]
    assert [strip.columns["s"] for strip in (first, second)] == [(0, 8), (8, 10)]
    assert [first.columns[value] for value in "bax"] == [(0, 8), (0, 9), (0, 10)]
    assert [second.columns[value] for value in "bax"] == [(8, 10), (7, 10), (6, 10)]
    assert second.origins["b"] == second.origins["x"] == 6


def test_parts_of_a_concatenation_begin_alike():
    narrow, wide = (TensorType((c, 6, 40), 8, True, 1.0, 0) for c in (4, 8))
    values = {"x": narrow, "a": narrow, "b": narrow, "c": wide, "y": wide}
    ops = (
        Input("i", "x"), conv("first", "x", "a", 4), conv("second", "a", "b", 4, kernel=5),
        Concat("cat", ("a", "b"), "c"), conv("third", "c", "y", 8), Output("o", "y"),
    )  # fmt: skip
    for strips in cuts(Graph("concat", values, ops)):
        for strip in strips:
            assert strip.origins["a"] == strip.origins["b"]


@pytest.mark.parametrize(("rows", "bus", "pixels"), [(4, 64, 2), (2, 128, 8), (16, 64, 1)])
def test_what_is_stored_is_cut_at_whole_beats(rows, bus, pixels):
    """The store unit fills up beats with zeros: they would fall on the next strip."""
    config = replace(CONFIG, rows=rows, bus_width=bus)
    for strips in cuts(single(), config):
        assert all(strip.columns["y"][0] % pixels == 0 for strip in strips)


def test_rows_that_fit_stay_whole():
    for choice in choices_of(lower(residual(), CONFIG, timing(CONFIG))):
        assert len(choice.plan.columns.strips) == 1


def test_narrow_rows_are_moved_by_row_or_by_channel_group():
    """Whichever takes fewer commands; results of a channel group lie together."""
    config = replace(CONFIG, act_depth=40, weight_depth=4096)
    program = compile_graph(single(channels=16), Target(engine=config))
    assert program.schedule[0].columns > 1
    loads = [c for c in program.commands(Unit.LOAD) if isinstance(c, LoadActivations)]
    assert {c.height for c in loads} == {1}
    assert {c.height for c in program.commands(Unit.STORE) if isinstance(c, Store)} == {1}


def test_results_wider_than_their_buffer_go_in_pieces():
    """Rows are whole on chip; each command has as many columns as half of the buffer holds."""
    config = replace(CONFIG, out_depth=16)
    program = compile_graph(single(), Target(engine=config))
    assert program.schedule[0].columns == 1
    widths = {c.out_w for c in program.commands(Unit.COMPUTE) if isinstance(c, Compute)}
    assert widths == {6}
    # Words in front of a window are left out, so that its column number stays small.
    assert all(-1 <= c.x0 < 3 for c in program.commands(Unit.COMPUTE) if isinstance(c, Compute))


@pytest.fixture
def plan():
    config = replace(CONFIG, act_depth=24)
    lowered = lower(single(), config, timing(config))
    (choice,) = choices_of(lowered)
    verify_plan(choice.plan, lowered)
    return choice.plan, lowered


def test_columns_that_no_strip_computes(plan):
    plan, lowered = plan
    strips = plan.columns.strips
    wrong = replace(plan, columns=replace(plan.columns, strips=strips[:1] + strips[2:]))
    with pytest.raises(ScheduleFault, match=r"layer: columns \d+ to \d+ are not computed"):
        verify_plan(wrong, lowered)


def test_columns_that_are_read_beside_the_strip(plan):
    plan, lowered = plan
    first, *others = plan.columns.strips
    low, high = first.columns["x"]
    strips = (replace(first, columns={**first.columns, "x": (low, high - 1)}), *others)
    wrong = replace(plan, columns=replace(plan.columns, strips=strips))
    with pytest.raises(ScheduleFault, match=r"layer: it reads columns 0 to .* of .x., of which"):
        verify_plan(wrong, lowered)


def test_rows_wider_than_their_ring(plan):
    plan, lowered = plan
    with pytest.raises(ScheduleFault, match="layer: a row of 'x' has no room"):
        verify_plan(replace(plan, columns=whole_rows(plan.group, lowered)), lowered)


@pytest.mark.parametrize("size", [(9000, 3), (3, 9000)])
def test_maps_of_more_rows_or_columns_than_a_command_counts(size):
    """Input rows had to be in 0..8191, output rows of a command in 0..4095, columns in 0..8191."""
    config = EngineConfig(rows=2, cols=16, act_depth=65536, weight_depth=1024, out_depth=65536)
    program = compile_graph(single(size, channels=1), Target(engine=config))
    image = np.random.default_rng(0).integers(-128, 128, (1, 1, *size))
    golden, isa = (simulate(program, image, backend=b).outputs for b in ("golden", "isa"))
    np.testing.assert_array_equal(golden, isa)
