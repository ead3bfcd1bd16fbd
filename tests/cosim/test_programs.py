"""Programs written by hand, on the functional executor and on RTL, against plain Python.

Chains on chip with and without fences, waits between all units, and the counters.
"""

import random
from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.cosim.programs import Author, Tile, chain, stream
from tilewright.isa import EngineConfig, Unit
from tilewright.isa.registers import Status
from tilewright.sim.report import bytes_moved
from tilewright.sim.rtl import RtlEngine
from tilewright.sim.timing import MemoryTiming
from tilewright.sim.timing.compute import compute_timing

ENGINE = ENGINES["4x4-bus64"]
PROGRAMS = {
    "chain": lambda rng: chain(ENGINE, rng, 8),
    "stream": lambda rng: stream(ENGINE, rng, 8),
}


@pytest.fixture(scope="module")
def rtl():
    return RtlEngine(ENGINE)


def same(memory, program, message):
    np.testing.assert_array_equal(memory, program.expected, err_msg=message)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_results_and_cycles_agree(rtl, name):
    for seed in range(4):
        rng = random.Random(seed)
        program = PROGRAMS[name](rng)
        timing = MemoryTiming(rng.randint(1, 60), rng.randint(1, 60))
        memory, events, cycles = program.isa(timing)
        same(memory, program, f"isa, seed {seed}")
        with rtl.session() as session:
            memory, run = program.rtl(session, timing)
            assert run.status is Status.DONE, f"seed {seed}"
            same(memory, program, f"rtl, seed {seed}")
            assert run.cycles == cycles, f"seed {seed}"
            for unit in Unit:
                assert run.starts[unit].tolist() == [e.start for e in events[unit]], f"seed {seed}"
                assert run.dones[unit].tolist() == [e.done for e in events[unit]], f"seed {seed}"
            for stalls in range(2):
                memory, run = program.rtl(session, timing, random_seed=stalls)
                assert run.status is Status.DONE, f"seed {seed}, stalls {stalls}"
                same(memory, program, f"rtl, seed {seed}, stalls {stalls}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "timing", "cause"),
    [
        ("chain", MemoryTiming(1, 1), "STALL_RESULT"),
        ("chain", MemoryTiming(50, 1), "STALL_LOAD"),
        ("stream", MemoryTiming(50, 50), "STALL_COMMAND"),
        ("stream", MemoryTiming(1, 120), "STALL_STORE"),
    ],
)
def test_counters_account_for_every_cycle(rtl, name, timing, cause):
    program = PROGRAMS[name](random.Random(7))
    with rtl.session() as session:
        _, run = program.rtl(session, timing)
    commands, counters = program.streams.commands, run.counters
    _, events, _ = program.isa(timing)
    computes = events[Unit.COMPUTE]
    causes = ("STALL_LOAD", "STALL_STORE", "STALL_RESULT", "STALL_COMMAND")
    # The array is occupied or it waits for one thing.
    occupied = sum(event.free - event.start for event in computes)
    assert counters["CYCLES"] == occupied + sum(counters[cause] for cause in causes)
    assert counters["COMPUTE_STEPS"] == sum(event.steps for event in computes)
    stalls = [event.stalls for event in computes]
    totals = {cause: sum(stall[cause] for stall in stalls) for cause in stalls[0]}
    assert counters["STALL_LOAD"] == totals["weights"] + totals["activations"]
    assert counters["STALL_STORE"] == totals["stores"]
    assert counters["STALL_RESULT"] == totals["results"]
    assert counters[cause], "what the program is for does not happen"
    moved = [bytes_moved(ENGINE, command) for unit in Unit for command in commands[unit]]
    boot = program.streams.boot_count * Unit.LOAD.least_bytes
    assert counters["BYTES_READ"] == boot + sum(read for read, _ in moved)
    assert counters["BYTES_WRITTEN"] == sum(written for _, written in moved)
    for unit in Unit:
        assert counters[f"{unit.name}_DONE"] == len(commands[unit])
    busy = np.zeros(run.cycles, bool)
    for start, done in zip(run.starts[Unit.COMPUTE], run.dones[Unit.COMPUTE], strict=True):
        busy[start + 1 : done + 1] = True
    assert counters["COMPUTE_BUSY"] == busy.sum()
    spans = run.dones[Unit.STORE] - run.starts[Unit.STORE]
    assert counters["STORE_BUSY"] == spans.sum()


def test_a_pipeline_keeps_the_bound_that_programs_rely_on():
    """A fence is left out when results are old enough by ``RESULT_LATENCY``."""
    author = Author(ENGINE, random.Random(0))
    tile = Tile(0, 1, 3, 4)
    author.load(tile)
    index = author.compute(tile, "dense", out=0)
    command = author.entries[-1].command
    assert index == 0
    for rows, requantizers in ((2, None), (16, None), (16, 1), (64, 64), (64, 1)):
        for cols in (2, 7, 16):
            config = EngineConfig(rows=rows, cols=cols, requantizers=requantizers)
            for taps in (1, 255):  # so that the drain takes longer than a pass, and the reverse
                for last_segment in (1, rows):
                    one = replace(command, n_r=1, n_s=taps, last_segment=last_segment)
                    time = compute_timing(config, one)
                    late = time.done - time.free
                    assert late <= config.drain_cycles + config.RESULT_LATENCY, config


@pytest.mark.slow
def test_results_are_there_in_time_without_a_fence(rtl):
    """As few commands as the bound allows between one that writes and one that reads."""
    steps = 9  # of a depthwise pass, one more than it drains
    passes = -(-(ENGINE.drain_cycles + ENGINE.RESULT_LATENCY) // steps)
    for seed in range(3):
        author = Author(ENGINE, random.Random(seed))
        first, second, third = (Tile(base, 1, 2, 4) for base in (0, 8, 16))
        idle = Tile(32, 1, passes, 4)
        for tile in (first, idle):
            author.load(tile)
        author.compute(first, "depthwise", target=second, fence=1)
        author.compute(idle, "depthwise", out=0)
        author.compute(second, "depthwise", target=third, out=40)
        last = author.compute(third, "depthwise", out=48, fence=1)
        author.store(first, 40, {Unit.COMPUTE: last})
        author.store(first, 48, {Unit.COMPUTE: last})
        program = author.finish()
        memory, _, cycles = program.isa(MemoryTiming(1, 1))
        same(memory, program, f"isa, seed {seed}")
        with rtl.session() as session:
            memory, run = program.rtl(session, MemoryTiming(1, 1))
        assert (run.status, run.cycles) == (Status.DONE, cycles)
        same(memory, program, f"rtl, seed {seed}")
