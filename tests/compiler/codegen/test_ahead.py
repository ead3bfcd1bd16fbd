"""Weights that are loaded where the load unit would wait."""

from dataclasses import replace
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest

import tilewright as tw
from tests.cosim.engines import ENGINES
from tests.cosim.random_networks import random_network
from tilewright.compiler import ir
from tilewright.compiler.codegen.recorder import Entry
from tilewright.compiler.codegen.verify import verify_commands
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import LoadActivations, LoadOffsets, Unit

#: The module, which the package's function of that name hides.
ASSEMBLE = import_module("tilewright.compiler.codegen.assemble")


#: It runs a chain in groups of layers.
ENGINE = replace(ENGINES["8x7-bus64"], act_depth=512, weight_depth=1 << 13)


def chain(layers=4, channels=128, size=14):
    """Return 3x3 convolutions one behind another."""
    rng = np.random.default_rng(0)
    names = [f"v{i}" for i in range(layers + 1)]
    values = {name: ir.TensorType((channels, size, size), 8, True, 1.0, 0) for name in names}
    scale = ir.Requantize((1,) * channels, (12,) * channels, 0, -128, 127)
    convolutions = [
        ir.Conv2d(
            f"layer{i}", source, result, rng.integers(-8, 8, (channels, channels, 3, 3)), 8,
            np.zeros(channels, np.int64), (1, 1), (1, 1, 1, 1), (1, 1), 1, scale,
        )
        for i, (source, result) in enumerate(pairwise(names))
    ]  # fmt: skip
    ops = (ir.Input("input", "v0"), *convolutions, ir.Output("output", names[-1]))
    return ir.Graph("chain", values, ops)


def in_program_order(monkeypatch, compiled):
    """Return what a function compiles if no load goes ahead of another."""
    with monkeypatch.context() as patch:
        patch.setattr(ASSEMBLE, "loads_ahead", lambda entries, *_: list(entries))
        return compiled()


def noted(monkeypatch):
    """Return a list that gets entries before and after loads are moved, of each schedule."""
    orders = []

    def note(entries, *rest, ahead=ASSEMBLE.loads_ahead):
        moved = ahead(entries, *rest)
        orders.append((list(entries), [e for e in moved if isinstance(e, Entry)]))
        return moved

    monkeypatch.setattr(ASSEMBLE, "loads_ahead", note)
    return orders


def is_rows(command):
    """Return whether a command loads rows, or offsets of them."""
    return isinstance(command, (LoadActivations, LoadOffsets))


def is_weights(command):
    """Return whether a command loads anything else."""
    return command.UNIT is Unit.LOAD and not is_rows(command)


def test_weights_of_a_group_come_before_the_rows_that_it_waits_for(monkeypatch):
    """The array waited at each group for weights that had had room and time for long."""
    graph, target = chain(), tw.Target(engine=ENGINE)
    program = tw.compile_graph(graph, target)
    before = in_program_order(monkeypatch, lambda: tw.compile_graph(graph, target))
    image = program.random_image()
    ahead, late = tw.simulate(program, image), tw.simulate(before, image)
    assert ahead.cycles < 0.985 * late.cycles
    for value, other, golden in zip(
        ahead.outputs, late.outputs, program.reference(image), strict=True
    ):
        np.testing.assert_array_equal(value, golden)
        np.testing.assert_array_equal(other, golden)


def test_commands_are_fetched_before_the_weights_that_would_hold_them_up(monkeypatch):
    """The array had no commands for a fifth of the time: their fetch stood behind weights."""
    config = tw.EngineConfig(
        rows=8, cols=7, data_width=13, kernel_width=13, partial_depth=512, act_depth=1024,
        weight_depth=4096, queue_depth=16,
    )  # fmt: skip
    graph, target = chain(1), tw.Target(engine=config)

    def compiled():
        return tw.compile_graph(graph, target, algorithms={"*": "F(4x2,3x3)"})

    program, before = compiled(), in_program_order(monkeypatch, compiled)
    image = program.random_image()
    ahead, late = tw.simulate(program, image), tw.simulate(before, image)
    assert ahead.layers[0].stalls["commands"] < 0.02 * ahead.cycles
    assert ahead.cycles < 0.85 * late.cycles
    np.testing.assert_array_equal(ahead.outputs[0], program.reference(image)[0])


@pytest.mark.parametrize("seed", range(12))
def test_only_loads_of_what_no_rows_are_change_places(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    name = str(rng.choice(sorted(ENGINES)))
    graph, _ = random_network(rng, ENGINES[name], (20, 20))
    orders = noted(monkeypatch)
    tw.compile_graph(graph, tw.Target(engine=ENGINES[name]))
    said = f"seed {seed}, engine {name}"
    for entries, moved in orders:
        for chosen in (is_rows, is_weights, lambda c: c.UNIT is not Unit.LOAD):
            ours, theirs = (
                [e.command for e in order if chosen(e.command)] for order in (moved, entries)
            )
            assert ours == theirs, said
        places = {id(entry.command): n for n, entry in enumerate(moved)}
        at = [places[id(entry.command)] for entry in entries]
        kept = [n for n, entry in zip(at, entries, strict=True) if not is_weights(entry.command)]
        assert kept == sorted(kept), said
        of_unit = {
            unit: [n for n, e in zip(at, entries, strict=True) if e.command.UNIT is unit]
            for unit in Unit
        }
        for entry in entries:
            for unit, last in entry.after.items():
                if unit is not entry.command.UNIT:
                    assert of_unit[unit][last] < places[id(entry.command)], said
        verify_commands(moved)


def test_where_counts_are_too_narrow_loads_stay_where_they_were(monkeypatch):
    graph, target = chain(), tw.Target(engine=ENGINE)
    before = in_program_order(monkeypatch, lambda: tw.compile_graph(graph, target))
    build, orders = ASSEMBLE.build_streams, noted(monkeypatch)

    def refuse(entries, *rest):
        if [e for e in entries if isinstance(e, Entry)] in [moved for _, moved in orders]:
            raise EngineLimitError("commands run too far ahead of one another")
        return build(entries, *rest)

    monkeypatch.setattr(ASSEMBLE, "build_streams", refuse)
    program = tw.compile_graph(graph, target)
    assert orders
    assert program.commands(Unit.LOAD) == before.commands(Unit.LOAD)
