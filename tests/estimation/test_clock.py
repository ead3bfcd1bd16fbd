"""Clocks: a system is judged by those like it, and none is taken for what it is not."""

import json
from dataclasses import replace

import pytest

from benchmarks.clocks import KEPT, systems
from tilewright.boards import get_board
from tilewright.estimation.clock import Routed, alike, clock_of, left_out, typical
from tilewright.estimation.figures import Figure, Unknown
from tilewright.estimation.resources import Site, resources_of


def system(mhz, sdram=True, family="ecp5", share=0.5):
    return Routed("a board", family, True, sdram, mhz, {"TRELLIS_COMB": share})


def test_a_system_is_judged_by_the_others_like_it():
    routed = [system(100.0), system(110.0), system(120.0), system(50.0, sdram=False)]
    assert typical(alike(routed, "ecp5", pipelined=True, sdram=True)) == 110
    assert left_out(routed) == pytest.approx([115 / 100 - 1, 0, 1 - 105 / 120])
    assert left_out(routed[-1:]) == []


def test_what_estimates_have_was_routed():
    """Not all need be there: `python -m benchmarks.clocks keep` is for somebody to run."""
    kept = json.loads(KEPT.read_text())["systems"]
    known = {system.name: system for system in systems()}
    assert len(kept) >= 4
    for one in kept:
        recorded = known[one["name"]]
        assert (recorded.family, recorded.sdram) == (one["family"], one["sdram"])
        assert recorded.fmax_mhz == pytest.approx(one["fmax_mhz"], rel=0.1)


@pytest.mark.parametrize("name", ["ulx3s-12f", "ulx3s-85f"])
def test_boards_with_an_sdram_are_told_from_systems_with_one(name):
    """The 85F's range was that of a system with block RAM as its memory."""
    board = get_board(name)
    figure = resources_of(board.engine, board).fmax
    assert isinstance(figure, Figure)
    names = ("ulx3s-12f", "ulx3s-85f")
    for one in (system for system in systems() if system.name in names):
        assert one.name in figure.basis
        assert figure.low <= one.fmax_mhz <= figure.high
    assert "SDRAM" in figure.basis


def test_what_is_fuller_than_any_or_of_another_kind_is_unknown():
    board = get_board("ulx3s-85f")
    full = {"TRELLIS_COMB": Site(Figure.exact(80_000, "sites", "here"), 83_640)}
    assert isinstance(clock_of(board.engine, board, full), Unknown)
    engine = replace(board.engine, pipelined=False, requantizers=8, shared_words=False)
    slow = clock_of(engine, board, {})
    assert isinstance(slow, Unknown)
    assert "pipelined=False" in slow.reason
