"""Rows of results of several images: where each reads, and what is refused."""

import random
from dataclasses import replace

import pytest

from tests.hdl.compute_cases import random_compute
from tilewright.isa import Deform, EngineConfig
from tilewright.isa.images import IMAGE_FIELDS, walk_rows
from tilewright.isa.rules import RuleError, check_command

CONFIG = EngineConfig(
    rows=4, cols=6, act_depth=65536, weight_depth=65536, out_depth=65536, offset_depth=64,
    shared_words=True, stacked_images=True,
)  # fmt: skip


def stacked(**fields):
    """Return a command whose rows are those of images of three rows, from the second one on."""
    return random_compute(
        random.Random(0), CONFIG,
        **{
            "n_oy": 7, "y0": 1, "oy_dy": 2, "oy_step": 10, "act_ring": 99, "act_row": 0,
            "stacked": 1, "edge_y": 3, "edge_dy": -4, "edge_step": 7, "to_act": 0, "qmax": 127,
            "maximum": 0, **fields,
        },
    )  # fmt: skip


def test_rows_go_on_with_the_next_image():
    rows = [1, 3, -1, 1, 3, -1, 1]
    assert list(walk_rows(CONFIG, stacked())) == [(y, 7 if y == 3 else 10) for y in rows]
    plain = [(1 + 2 * n, 10) for n in range(7)]
    assert list(walk_rows(CONFIG, stacked(stacked=0))) == plain
    assert list(walk_rows(replace(CONFIG, stacked_images=False), stacked())) == plain


def test_registers_hold_rows():
    command = stacked(y0=8000, oy_dy=15, edge_y=-9000 + 15, n_oy=700, stacked=1)
    rows = [y for y, _ in walk_rows(CONFIG, command)]
    assert max(rows) < 1 << 14
    assert min(rows) < -1 << 13


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"resume": 1, "n_kg": 1, "n_oy": 1, "n_ox": 1, "out_w": 3}, "if images are stacked"),
        ({"edge_step": 99}, "ring"),
        ({"edge_dy": 8191, "n_oy": 700, "oy_dy": 15, "y0": 3}, "rows"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, rule):
    check_command(CONFIG, stacked())
    with pytest.raises(RuleError, match=rule):
        check_command(CONFIG, stacked(**fields))


@pytest.mark.parametrize("name", IMAGE_FIELDS)
def test_engines_without_them_refuse_them(name):
    command = replace(stacked(), **dict.fromkeys(IMAGE_FIELDS, 0))
    check_command(replace(CONFIG, stacked_images=False), command)
    with pytest.raises(RuleError, match="stacked_images"):
        check_command(replace(CONFIG, stacked_images=False), replace(command, **{name: 1}))


def test_windows_that_are_sampled_are_of_one_image():
    deform = Deform(
        **{field.name: 1 for field in (*Deform.FIELDS, *Deform.OPTIONS) if field.name != "layer"}
    )
    with pytest.raises(RuleError, match="no others"):
        check_command(CONFIG, stacked(), deform)
