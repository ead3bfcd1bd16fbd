"""What the compiler is told of cycles is what the events of its programs have."""

import numpy as np
import pytest

import tilewright as tw
from tests.cosim.engines import ENGINES
from tests.cosim.random_networks import random_network
from tilewright.api.cycles import events_of
from tilewright.compiler.codegen import assemble, drafts
from tilewright.compiler.ir import Conv2d, Graph, Input, Output, Requantize, TensorType
from tilewright.isa import Compute, LoadActivations, LoadWeights, Store, Unit
from tilewright.isa.passes import command_parts, kernel_group_cycles
from tilewright.sim import model
from tilewright.sim.model import CycleModel

CONFIG = ENGINES["4x4-bus64"]
SDRAM = tw.SDRAM("IS42S16160G-7", 100.0)


def program(seed, memory=None):
    graph, _ = random_network(np.random.default_rng(seed), CONFIG, (12, 14))
    target = tw.Target(engine=CONFIG, memory=memory or tw.MemoryTiming(20, 5))
    return tw.compile_graph(graph, target)


def told(cycles, command):
    """Return the cycles of a load or a store as the compiler is told, or None."""
    match command:
        case LoadWeights():
            return cycles.words(command.words)
        case LoadActivations():
            size = command.groups, command.group_stride, command.height, command.width
            return cycles.rows(*size, command.pixel)
        case Store():
            return cycles.results(
                command.groups, command.group_stride, command.height, command.width
            )
    return None


@pytest.mark.parametrize("seed", range(3))
def test_loads_and_stores_take_what_the_compiler_is_told(seed):
    """But for how they lie to the bursts of memory: at most one more burst a run of rows."""
    made = program(seed)
    exact, compared = CycleModel(CONFIG, made.target.memory), 0
    for unit in (Unit.LOAD, Unit.STORE):
        for event in events_of(made).by_unit[unit]:
            cycles, address = told(exact, event.command), getattr(event.command, "address", 0)
            if cycles is not None and address % (CONFIG.burst_beats * CONFIG.bus_bytes) == 0:
                assert event.free - event.start == cycles, (seed, event.command)
                compared += 1
    assert compared > 3


@pytest.mark.parametrize("seed", range(3))
def test_nothing_lies_between_commands_but_the_gaps(seed):
    made = program(seed)
    gaps = CycleModel(CONFIG, made.target.memory).gaps
    for event in events_of(made).by_unit[Unit.COMPUTE]:
        command = event.command
        if isinstance(command, Compute) and not command.partial:
            passes = command.n_kg * kernel_group_cycles(
                CONFIG, command, command_parts(CONFIG, command)
            )
            assert event.free - event.start <= passes + gaps.command + CONFIG.cols, seed
            assert gaps.command < gaps.fence


@pytest.mark.parametrize("memory", [tw.MemoryTiming(20, 5), SDRAM])
def test_a_program_takes_what_its_streams_take(memory):
    graph, _ = random_network(np.random.default_rng(1), CONFIG, (12, 14))
    exact = CycleModel(CONFIG, memory)
    streams = assemble(graph, CONFIG, exact).streams
    cycles = exact.run(streams.commands, streams.addresses, streams.boot)
    assert cycles == tw.estimate(program(1, memory)).cycles.value


def test_single_bursts_of_a_chip_have_its_latencies():
    """Not those of a memory that answers in the next cycle, nor of one that never does."""
    slow, fast = CycleModel(CONFIG, SDRAM), CycleModel(CONFIG, tw.MemoryTiming(1, 1))
    assert 10 < slow.words(1) - fast.words(1) < 60
    assert 5 < slow.results(1, 0, 1, 1) - fast.results(1, 0, 1, 1) < 60


def test_behind_a_chip_loads_take_as_long_as_its_data_bus():
    """They were told as those of a memory that answers every cycle: schedules moved too much."""
    assert CycleModel(CONFIG, tw.MemoryTiming(20, 5)).rate == CONFIG.bus_bytes
    assert 1.9 < CycleModel(CONFIG, SDRAM).rate < 2  # of 16 bits
    wide = tw.SDRAM("EM638325-6", 100.0)
    assert 3.8 < CycleModel(CONFIG, wide).rate < 4  # of 32 bits


@pytest.mark.parametrize("memory", [tw.MemoryTiming(20, 5), SDRAM])
def test_a_schedule_that_memory_binds_is_expected_to_take_what_it_takes(memory):
    """Loads and stores share the chip's data bus: what takes longer is their sum."""
    types = {name: TensorType((16, 56, 56), 8, True, 1.0, 0) for name in "xy"}
    scale = Requantize((1,) * 16, (12,) * 16, 0, -128, 127)
    layer = Conv2d(
        "layer", "x", "y", np.ones((16, 16, 1, 1), np.int64), 8, np.zeros(16, np.int64), (1, 1),
        (0, 0, 0, 0), (1, 1), 1, scale,
    )  # fmt: skip
    graph = Graph("net", types, (Input("input", "x"), layer, Output("output", "y")))
    config = ENGINES["8x7-bus64"]
    cycles = CycleModel(config, memory)
    (made, *_) = drafts(graph, config, cycles, "time", {}, few=1)
    taken = cycles.run(made.streams.commands, made.streams.addresses, made.streams.boot)
    assert made.schedule.weighed == pytest.approx(taken, rel=0.15)


@pytest.mark.parametrize("seed", range(5))
def test_many_rows_take_what_all_of_them_take(seed, monkeypatch):
    """What is extrapolated is what burst after burst comes to, but for a few bursts of a group."""
    rng = np.random.default_rng(seed)
    width, height, groups = (int(n) for n in rng.integers(1, (200, 400, 4)))
    stride = CONFIG.bus_bytes * int(rng.integers(1, 500))
    for memory, rel in (
        (tw.MemoryTiming(20, 5), 1e-3),
        (tw.MemoryTiming(150, 90), 1e-3),
        (SDRAM, 1e-2),
    ):
        told = CycleModel(CONFIG, memory)
        monkeypatch.setattr(model, "_SETTLED", 64)
        rows = told.rows(groups, stride, height, width, 0)
        results = told.results(groups, stride, height, width)
        monkeypatch.setattr(model, "_SETTLED", 1 << 30)
        told = CycleModel(CONFIG, memory)
        exact = told.rows(groups, stride, height, width, 0)
        assert rows == pytest.approx(exact, rel=rel), seed
        exact = told.results(groups, stride, height, width)
        assert results == pytest.approx(exact, rel=rel), seed


def test_cycles_are_plain_numbers_whoever_asks_first():
    """One who asked with numpy's numbers left them for others, whose report was then no JSON."""
    config = ENGINES["4x4-bus64"]
    for memory in (tw.MemoryTiming(21, 6), tw.Target.from_board("ulx3s-12f").memory):
        first, then = CycleModel(config, memory), CycleModel(config, memory)
        asked = [np.int64(n) for n in (1, 64, 3, 13, 0)]
        for ask in (first, then):
            assert type(ask.words(asked[3])) is int
            assert type(ask.rows(*asked)) is int
            assert type(ask.results(*asked[:4])) is int
