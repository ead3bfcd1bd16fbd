"""A graph as a whole program."""

import re
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

import tilewright as tw
from tests.cosim.engines import ENGINES
from tests.cosim.random_networks import random_network
from tilewright.compiler import ir
from tilewright.compiler.codegen import drafts
from tilewright.compiler.schedule import EngineLimitError, Schedule
from tilewright.compiler.winograd.terms import tilings
from tilewright.isa import LoadWeights, Unit
from tilewright.isa.layout import moved_bytes
from tilewright.sim.model import CycleModel

#: The module, which the package's function of that name hides.
ASSEMBLE = import_module("tilewright.compiler.codegen.assemble")
#: One that reads weights at half the rate at which its array takes them.
ENGINE = tw.EngineConfig(rows=16, cols=7, weight_depth=4096)


def connected(inputs, outputs):
    """Return a fully connected layer."""
    rng = np.random.default_rng(0)
    x, y = (ir.TensorType((n, 1, 1), 8, True, 1.0, 0) for n in (inputs, outputs))
    scale = ir.Requantize((1,) * outputs, (9,) * outputs, 0, -128, 127)
    weight = rng.integers(-8, 8, (outputs, inputs))
    layer = ir.Linear("fc", "x", "y", weight, 8, np.zeros(outputs, int), scale)
    ops = (ir.Input("input", "x"), layer, ir.Output("output", "y"))
    return ir.Graph("fc", {"x": x, "y": y}, ops)


def test_little_is_left_to_compute_once_all_weights_are_there(monkeypatch):
    """The array waited for the last block of weights whole, and then computed all of it."""
    graph, target = connected(128, 1200), tw.Target(engine=ENGINE)
    program = tw.compile_graph(graph, target)
    cycles = tw.simulate(program, program.random_image()).cycles
    beats = sum(
        moved_bytes(ENGINE, command) for unit in Unit for command in program.commands(unit)
    ) / (ENGINE.bus_width / 8)
    assert beats > 0.94 * cycles
    monkeypatch.setattr(Schedule, "sooner_done", lambda self: None)
    late = tw.compile_graph(graph, target)
    assert tw.simulate(late, late.random_image()).cycles > cycles + 300


@pytest.mark.parametrize("addr_width", [13, 15])
def test_of_several_programs_that_are_all_too_large_the_size_is_said(addr_width):
    """Schedules are compared by cycles, and those of too large a program cannot be counted."""
    config = replace(ENGINES["4x4-bus64"], addr_width=addr_width)
    graph, _ = random_network(np.random.default_rng(5), config, (20, 20))
    said = r"take ([\d,]+) bytes, ([\d,]+) more than the engine addresses; .*addr_width must be at"
    with pytest.raises(EngineLimitError, match=said) as error:
        tw.compile_graph(graph, tw.Target(engine=config))
    size, over = (int(n.replace(",", "")) for n in re.search(said, str(error.value)).groups())
    assert size - over == 1 << addr_width


def test_too_many_commands_are_refused_before_there_are_more(monkeypatch):
    """Such a program was compiled, and then could be neither saved nor run."""
    graph, target = connected(128, 1200), tw.Target(engine=ENGINE)
    monkeypatch.setattr("tilewright.compiler.codegen.recorder.MOST", 10)
    with pytest.raises(EngineLimitError, match="more than 10 commands; take an engine with more"):
        tw.compile_graph(graph, target)


def test_of_many_commands_no_second_program_is_made(monkeypatch):
    graph, timing = connected(128, 1200), CycleModel(ENGINE, tw.MemoryTiming())
    graph = ir.choose_multipliers(graph, ENGINE.multiplier_width)
    made = drafts(graph, ENGINE, timing, "time", {}, few=5)
    assert len(made) > 1
    monkeypatch.setattr(ASSEMBLE, "COMPARED_COMMANDS", made[0].streams.count)
    assert len(drafts(graph, ENGINE, timing, "time", {}, few=5)) == 1


def test_a_piece_of_weights_ends_with_the_room_beside_the_block_in_use():
    """Two blocks do not fit: what does is loaded while the first is in use, not a piece less."""
    config = replace(ENGINES["8x7-bus64"], weight_depth=4096)
    values = {
        "x": ir.TensorType((256, 7, 7), 8, True, 1.0, 0),
        "y": ir.TensorType((32, 7, 7), 8, True, 1.0, 0),
    }
    layer = ir.Conv2d(
        "layer", "x", "y", np.ones((32, 256, 3, 3), np.int64), 8, np.zeros(32, np.int64), (1, 1),
        (1, 1, 1, 1), (1, 1), 1, ir.Requantize((1,) * 32, (12,) * 32, 0, -128, 127),
    )  # fmt: skip
    graph = ir.Graph("net", values, (ir.Input("i", "x"), layer, ir.Output("o", "y")))
    program = tw.compile_graph(graph, tw.Target(engine=config))
    pieces = [c.words for c in program.commands(Unit.LOAD) if isinstance(c, LoadWeights)]
    words = 2304 + config.param_words
    ends = np.cumsum(pieces)
    assert ends[-1] == 4 * words
    burst = config.burst_beats * config.bus_bytes // config.rows
    for block in range(4):
        assert block * words + (4096 - words) // burst * burst in ends


TILES = tw.EngineConfig(
    rows=16, cols=7, data_width=13, kernel_width=13, partial_depth=512, act_depth=1024,
    weight_depth=4096,
)  # fmt: skip


@pytest.mark.parametrize(
    ("channels", "kernels", "size", "kernel"), [(16, 16, 11, (3, 3)), (16, 96, 10, (3, 1))]
)
def test_a_layer_by_itself_has_the_algorithm_of_fewest_cycles(channels, kernels, size, kernel):
    """Without what comes before a layer's first result, tiles seemed 18 % faster than they are."""
    rng = np.random.default_rng(0)
    types = [ir.TensorType((n, size, size), 8, True, 1.0, 0) for n in (channels, kernels)]
    padding = (kernel[0] // 2,) * 2 + (kernel[1] // 2,) * 2
    layer = ir.Conv2d(
        "layer", "x", "y", rng.integers(-128, 128, (kernels, channels, *kernel)), 8,
        np.zeros(kernels, np.int64), (1, 1), padding, (1, 1), 1,
        ir.Requantize((1,) * kernels, (20,) * kernels, 0, -128, 127),
    )  # fmt: skip
    ops = (ir.Input("i", "x"), layer, ir.Output("o", "y"))
    graph = ir.Graph("net", dict(zip("xy", types, strict=True)), ops)
    cycles = {}
    for algorithm in ("auto", "direct", *map(str, tilings(kernel, (1, 1)))):
        try:
            program = tw.compile_graph(graph, tw.Target(engine=TILES), algorithms={"*": algorithm})
        except EngineLimitError:
            continue
        cycles[algorithm] = tw.estimate(program).cycles.value
    # Of each algorithm one schedule is compared, and of the best one several.
    assert cycles.pop("auto") <= 1.005 * min(cycles.values())
    assert len(cycles) > 2
