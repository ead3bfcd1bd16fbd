"""What another engine would save is what the network compiled for it has less."""

from dataclasses import replace

import numpy as np
import pytest

import tilewright as tw
from benchmarks.small_engine import SMALL_ENGINE
from tests.cosim.engines import ENGINES
from tests.cosim.random_networks import random_network
from tilewright.estimation.advice import changes

ENGINE = replace(ENGINES["8x7-bus64"], act_depth=64, weight_depth=256, out_depth=32, dsp="ecp5")
CAUSES = ("cycles", "bytes", "energy")


@pytest.fixture(scope="module")
def graph():
    return random_network(np.random.default_rng(7), ENGINE, (15, 17))[0]


def costs(program):
    found = tw.estimate(program)
    moved = found.read.value + found.written.value
    return found.cycles.value, moved, found.energy.total.value


def four_bits(graph):
    """As if the network had been quantized so, with zeros at the same places."""
    ops = [
        replace(op, weight=np.clip(op.weight, -8, 7), weight_bits=4)
        if hasattr(op, "weight_bits")
        else op
        for op in graph.ops
    ]
    return replace(graph, ops=tuple(ops))


def test_each_advice_is_what_following_it_gives(graph):
    program = tw.compile_graph(graph, tw.Target(engine=ENGINE))
    before, advice = costs(program), tw.advise(program)
    assert {piece.parameter for piece in advice} == {name for name, _, _ in changes(ENGINE)}
    assert {"act_depth", "bus_width", "partial_depth", "shared_words", "weight_bits"} <= {
        piece.parameter for piece in advice
    }
    engines = {(name, getattr(engine, name)): engine for name, engine, _ in changes(ENGINE)}
    helpful = 0
    for piece in advice:
        # From the graph and not from the program, as somebody compiles who follows the advice.
        target = tw.Target(engine=engines[piece.parameter, piece.value])
        followed = four_bits(graph) if piece.parameter == "weight_bits" else graph
        if piece.after is None:
            with pytest.raises(tw.Error):
                tw.compile_graph(followed, target)
            continue
        after = costs(tw.compile_graph(followed, target))
        saved = {name: 1 - b / a for name, a, b in zip(CAUSES, before, after, strict=True)}
        assert piece.saved == saved, piece
        helpful += max(piece.saved.values()) > 0.01
    assert helpful >= 3
    totals = [sum(piece.saved.values()) for piece in advice if piece.after]
    assert totals == sorted(totals, reverse=True)


def test_advice_is_of_the_program_as_it_was_compiled(graph):
    algorithms = {"*": "direct"}
    target = tw.Target(engine=ENGINE)
    program = tw.compile_graph(graph, target, objective="traffic", algorithms=algorithms)
    assert costs(program) != costs(tw.compile_graph(graph, target))
    with pytest.raises(tw.Error, match="compiled with another objective"):
        tw.advise(program)
    advice = tw.advise(program, objective="traffic", algorithms=algorithms)
    wider = next(piece for piece in advice if piece.parameter == "bus_width")
    target = tw.Target(engine=replace(ENGINE, bus_width=128))
    changed = tw.compile_graph(graph, target, objective="traffic", algorithms=algorithms)
    assert (wider.after.cycles, wider.after.bytes, wider.after.energy) == costs(changed)


def test_what_a_change_costs_is_said():
    notes = {(name, getattr(e, name)): note for name, e, note in changes(SMALL_ENGINE)}
    assert notes["requantizers", 2] == "+2 MULT18X18D"
    assert notes["act_depth", 1024] == "+3 DP16KD"
    assert notes["out_depth", 512] == "+1 KiB in the same block RAMs"
