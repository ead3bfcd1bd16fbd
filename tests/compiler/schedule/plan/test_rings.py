"""Rows complete after each strip, and where values lie on chip."""

from tests.compiler.schedule.samples import residual
from tests.compiler.timing import timing
from tilewright.compiler.schedule import lower
from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.plan.columns import whole_rows
from tilewright.compiler.schedule.plan.flow import Flow
from tilewright.compiler.schedule.plan.group import make_group
from tilewright.compiler.schedule.plan.rings import chains_of, place_rings, read_groups, room
from tilewright.isa import EngineConfig

CONFIG = EngineConfig(rows=4, cols=3, act_depth=1024, weight_depth=1024, out_depth=128)


def rings_of(strips, *, ahead=False):
    lowered = lower(residual(), CONFIG, timing(CONFIG))
    group = make_group(lowered, 0, len(lowered.stages))
    flow = Flow(lowered, strips, early=False)
    rings = place_rings(
        group,
        lowered,
        CONFIG,
        flow,
        chains=chains_of(group),
        spans=read_groups(group, lowered, CONFIG, None),
        columns=whole_rows(group, lowered),
        ahead=ahead,
    )
    return flow.frontier(group), rings


def test_rows_go_round_a_ring():
    ring = Ring(base=10, first=0, groups=2, rows=3, row=4)
    assert [ring.offset(y) for y in range(5)] == [0, 4, 8, 0, 4]
    assert (ring.words, ring.size) == (12, 24)


def test_each_strip_has_the_rows_that_the_next_layers_need():
    """Of 6 pooled rows: 2 of sums for each, a row more for each 3x3 kernel, none beyond 12."""
    frontier, _ = rings_of((2, 4, 6))
    assert frontier == {
        "y": (0, 2, 4, 6),
        "s": (0, 4, 8, 12),
        "b": (0, 4, 8, 12),
        "a": (0, 5, 9, 12),
        "x": (0, 6, 10, 12),
    }


def test_rings_hold_what_later_strips_read():
    """The shortcut keeps rows of x until the sum; convolutions keep two rows of their input."""
    _, rings = rings_of((2, 4, 6))
    assert "y" not in rings  # nobody reads it on chip
    # In the second strip, the first convolution begins at row 4 of x, and the sum too.
    assert rings["x"].rows == max(6, 10 - 4)
    assert rings["a"].rows == max(5, 9 - 3)
    # What an addition reads is addressed alike.
    assert rings["b"].rows == rings["x"].rows
    assert rings["s"].rows == 4


def test_one_strip_needs_whole_maps_but_shares_room():
    _, rings = rings_of((6,))
    assert {ring.rows for ring in rings.values()} == {12}
    assert room(rings) < sum(ring.size for ring in rings.values())


def test_the_next_strip_is_loaded_beside_the_one_in_use():
    _, rings = rings_of((2, 4, 6))
    _, with_more = rings_of((2, 4, 6), ahead=True)
    assert with_more["x"].rows > rings["x"].rows
    assert with_more["a"].rows == rings["a"].rows
