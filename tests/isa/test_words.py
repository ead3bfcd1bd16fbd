"""Words of results that rows share: which pixels they have, and what is refused."""

import random
from dataclasses import replace

import pytest

from tests.hdl.compute_cases import random_compute
from tilewright.isa import EngineConfig
from tilewright.isa.rules import RuleError, check_command
from tilewright.isa.words import can_share, has_room, own_words, share_words, shared_accesses

CONFIG = EngineConfig(
    rows=4, cols=6, act_depth=65536, weight_depth=65536, out_depth=65536, shared_words=True
)


def shared(seed):
    """Return a command whose rows have words of their own, and the same with shared ones."""
    rng = random.Random(seed)
    while True:
        command = random_compute(rng, CONFIG, to_act=0, act_ring=999, act_row=0, qmax=127)
        if can_share(CONFIG, command.stride_x, command.out_w):
            return command, share_words(CONFIG, command)


@pytest.mark.parametrize("cols", range(2, 17))
def test_windows_have_an_access_for_each_row_that_a_word_can_reach(cols):
    config = replace(CONFIG, cols=cols)
    for width in range(2, 40):
        most = max(
            len({pixel // width for pixel in range(first, first + cols)})
            for first in range(0, cols * width, cols)
        )
        assert shared_accesses(config, 1, width) == most, f"width {width}"


def test_words_have_all_results():
    for seed in range(200):
        own, command = shared(seed)
        pixels = (command.n_ox - 1) * CONFIG.cols + command.last_pixels
        assert pixels == own.n_oy * own.out_w, f"seed {seed}"
        assert 0 < command.last_pixels <= CONFIG.cols, f"seed {seed}"
        assert command.passes <= own.passes, f"seed {seed}"
        assert replace(own_words(CONFIG, command), last_pixels=0, row_dx=0, row_word=0,
                       row_lane=0) == own, f"seed {seed}"  # fmt: skip
        check_command(CONFIG, command)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"accesses": CONFIG.cols + 1}, "if shared"),
        ({"last_pixels": 0}, "if shared"),
        ({"last_pixels": CONFIG.cols + 1}, "if shared"),
        ({"resume": 1}, "if shared"),
        ({"out_w": 1}, "if shared"),
        ({"n_oy": 4}, "next row"),
        ({"accesses": 1}, "next row"),
        ({"row_dx": 9}, "next row"),
        ({"row_lane": 5}, "next row"),
    ],
)
def test_what_does_not_agree_is_refused(fields, rule):
    command = random_compute(
        random.Random(0), CONFIG, out_w=4, n_ox=1, n_oy=3, stride_x=1, act_ring=999, act_row=0,
        to_act=0, qmax=127,
    )  # fmt: skip
    command = share_words(CONFIG, command)
    check_command(CONFIG, command)
    with pytest.raises(RuleError, match=rule):
        check_command(CONFIG, replace(command, **fields))


def test_engines_without_them_refuse_them():
    _, command = shared(0)
    with pytest.raises(RuleError, match="shared words"):
        check_command(replace(CONFIG, shared_words=False), command)


@pytest.mark.parametrize(
    ("cols", "lane", "requantizers", "room"),
    [(6, 0, 4, True), (6, 1, 4, False), (6, 1, 2, True), (2, 0, 4, False), (2, 0, 2, True)],
)
def test_rows_that_end_where_the_next_begins_leave_room_for_what_is_loaded(
    cols, lane, requantizers, room
):
    config = replace(CONFIG, cols=cols, requantizers=requantizers)
    assert has_room(config, lane, 2 * cols + 1) == room
    assert has_room(config, lane, 2 * cols)


def test_rows_that_leave_no_room_have_words_of_their_own():
    command = replace(shared(0)[0], out_w=7, n_ox=2, stride_x=1, n_oy=3, dst_lane=2)
    assert share_words(CONFIG, command).accesses
    kept = replace(command, to_act=1)
    assert share_words(CONFIG, kept) == kept
    within = replace(share_words(CONFIG, replace(kept, dst_lane=0)), dst_lane=2)
    with pytest.raises(RuleError, match="lane 0"):
        check_command(CONFIG, within)
