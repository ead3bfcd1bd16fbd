"""Cells that are fitted: ranges hold on engines that were not fitted to; no term goes astray."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tilewright.boards import get_board
from tilewright.estimation.figures import Figure, Unknown, known
from tilewright.estimation.resources import resources_of
from tilewright.estimation.terms import room_of, terms
from tilewright.isa import EngineConfig

OPTIONS = json.loads(
    (Path(__file__).parents[2] / "benchmarks" / "results" / "options-yosys.json").read_text()
)


@pytest.mark.parametrize("kind", ["LUT4", "CCU2C", "TRELLIS_FF"])
def test_syntheses_that_were_held_out_lie_in_the_range(kind):
    off = []
    for record in OPTIONS["options"]:
        config = EngineConfig.from_fields(OPTIONS["engine"] | record["change"])
        figure = resources_of(config).cells[kind]
        if isinstance(figure, Unknown):  # of an option that no drawn engine had
            continue
        assert figure.low * 0.999 <= record["resources"][kind] * 1.001, record["change"]
        assert figure.high >= figure.value
        off.append(abs(figure.value / record["resources"][kind] - 1))
    assert len(off) >= 12
    assert sorted(off)[len(off) // 2] < 0.05


def test_exact_cells_are_those_of_the_syntheses():
    for record in OPTIONS["options"]:
        config = EngineConfig.from_fields(OPTIONS["engine"] | record["change"])
        cells = resources_of(config).cells
        for kind in ("DP16KD", "MULT18X18D"):
            assert cells[kind].is_exact
            assert cells[kind].value == record["resources"][kind], record["change"]


def test_every_term_is_a_finite_number_and_modules_have_rooms():
    for board in ("ulx3s-85f", "icebreaker", "tang-nano-20k"):
        rooms = terms(get_board(board).engine)
        assert all(value >= 0 for of in rooms.values() for value in of.values())
        for module in ("", "load.walk.x", "compute.array.mul_0", "compute.drain.requantize_3"):
            assert room_of(module) in rooms


def test_what_no_synthesis_says_is_unknown_and_no_zero():
    board = get_board("ulx3s-85f")
    larger = replace(board.engine, rows=32, cols=14, requantizers=8)
    resources = resources_of(larger, board)
    assert resources.misfits
    assert isinstance(resources.fmax, Unknown)
    assert "fullest system that was routed" in resources.fmax.reason
    with pytest.raises(Exception, match="is not known: TRELLIS"):
        known(resources.fmax, "fmax")
    assert isinstance(resources_of(board.engine, board).fmax, Figure)
    assert isinstance(resources_of(board.engine).fmax, Unknown)


def test_boards_own_engines_fit_their_fpgas():
    for name in ("ulx3s-12f", "ulx3s-85f", "icebreaker", "tang-nano-20k"):
        board = get_board(name)
        assert not resources_of(board.engine, board).misfits


def test_a_figure_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="not between"):
        Figure(3.0, 1.0, 2.0, "cells", "nowhere")
    assert Figure.within(10, 0.1, "cells", "here").relative_error == pytest.approx(0.1)
    assert Figure.exact(0, "cells", "here").relative_error == 0
