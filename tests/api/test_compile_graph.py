"""What compilation says of boards."""

from dataclasses import replace

import numpy as np
import pytest

import tilewright as tw
from tests.cosim.random_networks import random_network
from tilewright.boards import get_board


def test_a_board_whose_memory_is_too_small_says_by_how_much():
    """VGG-16 compiled for a board of 32 MiB, which only its driver refused."""
    target = tw.Target.from_board("icebreaker")
    target = replace(target, engine=replace(target.engine, addr_width=24))
    graph, _ = random_network(np.random.default_rng(5), target.engine, (20, 20))
    room = get_board("icebreaker").memory_bytes
    alone = tw.compile_graph(graph, replace(target, board=None))
    assert alone.image.size < room
    tw.compile_graph(graph, target)
    size = tw.compile_graph(graph, replace(target, board=None), batch=64).image.size
    assert size > room
    with pytest.raises(tw.Error, match=f"{size - room:,} more than the 131,072 of icebreaker's"):
        tw.compile_graph(graph, target, batch=64)


def test_a_board_whose_engine_addresses_no_more_says_so_too():
    """It was told to have wider addresses, which no memory of its would have answered."""
    target = tw.Target.from_board("icebreaker")
    graph, _ = random_network(np.random.default_rng(5), target.engine, (20, 20))
    assert get_board("icebreaker").memory_bytes == 1 << target.engine.addr_width
    with pytest.raises(tw.Error, match=r"more than the 131,072 of icebreaker's memory: take"):
        tw.compile_graph(graph, target, batch=64)
