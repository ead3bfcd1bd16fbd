"""Energy is a sum of parts, each of which is a count times a figure with a source."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.cosim.random_networks import random_network
from tilewright.api.compile import compile_graph
from tilewright.api.cycles import events_of
from tilewright.api.estimate import estimate
from tilewright.boards import BOARDS, get_board
from tilewright.estimation import cells
from tilewright.estimation.board import costs_of
from tilewright.estimation.cells import Fit
from tilewright.estimation.counts import CAUSES, counts
from tilewright.estimation.energies import ENERGIES, INFO, Cause
from tilewright.estimation.figures import Figure, Unknown
from tilewright.isa import Compute, Unit
from tilewright.sim.report import bytes_moved
from tilewright.sim.timing import SDRAM
from tilewright.target import Target

MEMORIES = {"fixed": None, "sdram": SDRAM("IS42S16160G-7", 100.0)}


@pytest.fixture(scope="module", params=MEMORIES)
def program(request):
    graph, _ = random_network(np.random.default_rng(3), ENGINES["4x4-bus64"], (9, 11))
    target = Target(engine=ENGINES["4x4-bus64"])
    if (memory := MEMORIES[request.param]) is not None:
        target = Target(engine=ENGINES["4x4-bus64"], memory=memory)
    return compile_graph(graph, target)


def test_parts_add_up_to_layers_and_causes_and_the_total(program):
    energy = estimate(program).energy
    for end in ("value", "low", "high"):
        by_layer = sum(getattr(energy.of_layer(i), end) for i in range(len(program.layers)))
        by_cause = sum(
            getattr(figure, end)
            for cause in energy.causes
            if isinstance(figure := energy.of_cause(cause), Figure)
        )
        assert getattr(energy.total, end) == pytest.approx(by_layer, rel=1e-12)
        assert getattr(energy.total, end) == pytest.approx(by_cause, rel=1e-12)
    assert energy.total.low < energy.total.value < energy.total.high


def test_counts_are_those_of_the_commands(program):
    events = events_of(program)
    counted = counts(program.engine, len(program.layers), events.by_unit)
    total = dict(zip(CAUSES, counted.sum(axis=0), strict=True))
    steps = sum(event.steps for event in events.by_unit[Unit.COMPUTE])
    assert total[Cause.MULTIPLY] == steps * program.engine.multipliers
    moved = sum(
        sum(bytes_moved(program.engine, event.command))
        for unit in Unit
        for event in events.by_unit[unit]
    )
    assert total[Cause.BYTES] == total[Cause.BUS] == moved
    passes = sum(
        e.command.n_kg * e.command.passes
        for e in events.by_unit[Unit.COMPUTE]
        if isinstance(e.command, Compute) and (e.command.to_act or e.command.to_out)
    )
    parts = 2  # 32 bits by 18
    assert total[Cause.REQUANTIZE] == passes * program.engine.multipliers * parts


def test_rows_of_an_sdram_are_counted(program):
    energy, fixed = estimate(program).energy, not isinstance(program.target.memory, SDRAM)
    rows = energy.counted[Cause.ROWS]
    assert rows == 0 if fixed else 0 < rows < energy.counted[Cause.BYTES] / 2
    assert (Cause.REFRESH in energy.causes) is not fixed


def test_what_is_not_known_is_said_and_in_no_sum(program):
    energy = estimate(program).energy
    assert "no board" in energy.unknown[Cause.STATIC]
    assert isinstance(energy.of_cause(Cause.STATIC), Unknown)


def test_the_clock_of_flip_flops_that_are_not_known_is_no_zero(monkeypatch):
    """As if no synthesis had had words that rows share."""
    fit = Fit({}, 0.01, 0.1, 8, 8, ("shared_words",))
    monkeypatch.setattr(
        cells, "_fits", lambda: {"ecp5": dict.fromkeys(("LUT4", "CCU2C", "TRELLIS_FF"), fit)}
    )
    engine = replace(ENGINES["4x4-bus64"], shared_words=True)
    graph, _ = random_network(np.random.default_rng(3), engine, (5, 6))
    energy = estimate(compile_graph(graph, Target(engine=engine))).energy
    assert "shared_words" in energy.unknown[Cause.CELLS]
    assert isinstance(energy.of_cause(Cause.CELLS), Unknown)


@pytest.mark.parametrize("board", sorted(BOARDS.all()))
def test_every_cost_of_a_board_has_a_source(board):
    for cause, cost in costs_of(Target.from_board(board)).items():
        if isinstance(cost, Unknown):
            assert INFO[cause].where == "memory" or get_board(board).family not in ENERGIES
            assert cost.reason
            continue
        assert cost.unit == "pJ"
        assert 0 < cost.low < cost.value < cost.high
        assert len(cost.basis) > 40
