"""From a board to a bitstream, with the tools that PyPI ships."""

import json

import pytest

from tilewright.boards import get_board
from tilewright.boards.flow import FlowError, synthesize
from tilewright.compiler.isa import EngineConfig


@pytest.mark.slow
@pytest.mark.synth
@pytest.mark.timeout(1200)
def test_small_board_goes_to_a_bitstream(tmp_path):
    board = get_board("ulx3s-12f")
    result = synthesize(board.engine, tmp_path, board=board, place_and_route=True)
    assert result.bitstream is not None
    assert result.bitstream.stat().st_size > 10_000
    assert result.fmax_mhz is not None
    assert result.fmax_mhz > board.clock_mhz
    assert result.resources["MULT18X18D"] == board.engine.multipliers + 2
    assert 0 < result.resources["LUT4"] < 24_000
    record = json.loads((tmp_path / "tilewright_system.json").read_text())
    assert record["fmax_mhz"] == result.fmax_mhz
    # Nothing changed: the result is read back, no tool runs.
    lines = []
    again = synthesize(
        board.engine, tmp_path, board=board, place_and_route=True, progress=lines.append
    )
    assert again == result
    assert len(lines) == 1
    assert "up to date" in lines[0]


def test_place_and_route_needs_a_board(tmp_path):
    with pytest.raises(FlowError, match="needs a board"):
        synthesize(EngineConfig(), tmp_path, place_and_route=True)
