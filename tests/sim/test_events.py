"""When commands start and end: against units that go cycle by cycle, and without any value."""

import random
from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.cosim.programs import chain, stream
from tilewright.hdl.commands.decode import WAIT_LATENCY
from tilewright.hdl.commands.queue import CommandQueue
from tilewright.isa import Compute, Deform, End, Fetch, Store, Unit
from tilewright.sim.errors import ExecutionError
from tilewright.sim.events import Events, Replay
from tilewright.sim.fetched import memory_reader
from tilewright.sim.report import bytes_moved, layer_stats
from tilewright.sim.timing import MemoryTiming
from tilewright.sim.timing.compute import compute_timing
from tilewright.sim.timing.load import bootstrap_commit, load_timing
from tilewright.sim.timing.store import store_cycles

CONFIG = ENGINES["4x4-bus64"]
CASES = 10


def program(seed, config=CONFIG):
    rng = random.Random(seed)
    timing = MemoryTiming(rng.randint(1, 60), rng.randint(1, 60))
    make = rng.choice((lambda: chain(config, rng, 6), lambda: stream(config, rng, 6)))
    return make(), timing


def boot_of(made):
    address = made.streams.addresses[Unit.LOAD]
    return Fetch(address=address, unit=Unit.LOAD, count=made.streams.boot_count)


def events_of(made, timing, image=None):
    image = made.image if image is None else image
    return Events(made.config, timing, memory_reader(made.config, image), boot_of(made)).complete()


def cycles_of(events):
    return {unit: [(e.start, e.done) for e in stream] for unit, stream in events.by_unit.items()}


def stepped(made, timing, limit=200_000):
    """Return (start, done) of all commands from units and queues that go cycle by cycle."""
    config, streams = made.config, made.streams.commands
    durations = {unit: [] for unit in Unit}  # of each command: done, free, and a fetch's commit
    for unit in Unit:
        before = None
        for command in streams[unit]:
            if isinstance(command, Compute):
                time = compute_timing(config, command, before)
                durations[unit].append((time.done, time.free, 0))
            elif isinstance(command, Store):
                done = store_cycles(config, timing, command)
                durations[unit].append((done, done + 1, 0))
            else:
                time = load_timing(config, timing, command)
                durations[unit].append((time.done, time.done + 1, time.commit))
            before = command if isinstance(command, Deform) else None
    # Cycle from which on each command is in its queue.
    there = {unit: [] for unit in Unit}
    boot = boot_of(made)
    there[Unit.LOAD] += [bootstrap_commit(config, timing, boot)] * boot.count
    runs = {unit: [] for unit in Unit}
    free, popped = dict.fromkeys(Unit, 0), dict.fromkeys(Unit, -1)
    for now in range(limit):
        for unit in Unit:
            index = len(runs[unit])
            if index == len(streams[unit]) or index >= len(there[unit]) or now < free[unit]:
                continue
            command = streams[unit][index]
            words = config.command_bytes(unit) // config.bus_bytes
            shown = max(popped[unit], there[unit][index]) + words + CommandQueue.refill(config)
            ready = now >= shown + WAIT_LATENCY
            for other in set(Unit) - {unit}:
                seen = sum(done + 1 + WAIT_LATENCY <= now for _, done in runs[other])
                ready &= seen >= getattr(command, f"wait_{other.name.lower()}")
            if getattr(command, "fence", 0):
                ready &= all(done + 1 + WAIT_LATENCY <= now for _, done in runs[unit])
            if not ready:
                continue
            done, unit_free, commit = durations[unit][index]
            runs[unit].append((now, now + done))
            free[unit] = now + unit_free
            popped[unit] = now if config.prefetch else free[unit] - 1
            if isinstance(command, Fetch):
                there[Unit(command.unit)] += [now + commit] * command.count
            if isinstance(command, End):
                return runs
    raise AssertionError("no end")


@pytest.mark.parametrize("name", ["4x4-bus64", "2x2-bus32"])
def test_events_are_those_of_units_that_go_cycle_by_cycle(name):
    for seed in range(CASES):
        made, timing = program(seed, ENGINES[name])
        assert cycles_of(events_of(made, timing)) == stepped(made, timing), f"seed {seed}"


def test_no_value_changes_a_cycle():
    made, timing = program(1)
    first = min(made.streams.addresses.values())
    noise = made.image.copy()
    noise[:first] = np.random.default_rng(0).integers(0, 256, first)
    assert cycles_of(events_of(made, timing, noise)) == cycles_of(events_of(made, timing))


def test_events_are_the_executors():
    for seed in range(CASES):
        made, timing = program(seed)
        memory, events, cycles = made.isa(timing)
        np.testing.assert_array_equal(memory, made.expected, err_msg=f"seed {seed}")
        alone = events_of(made, timing)
        assert alone.by_unit == events, f"seed {seed}"
        assert alone.cycles == cycles, f"seed {seed}"


def test_a_replay_of_a_run_is_the_run():
    made, timing = program(2)
    events = events_of(made, timing)
    again = replayed(made, timing, cycles_of(events))
    assert again.by_unit == events.by_unit


def replayed(made, timing, cycles):
    starts = {unit: [start for start, _ in cycles[unit]] for unit in Unit}
    dones = {unit: [done for _, done in cycles[unit]] for unit in Unit}
    reader = memory_reader(made.config, made.image)
    replay = Replay(made.config, timing, reader, boot_of(made), starts=starts, dones=dones)
    return replay.complete()


def test_a_replay_keeps_what_was_observed():
    """A load that took longer than it should is what the array waited for."""
    made, timing = program(3)
    events = events_of(made, timing)
    cycles = cycles_of(events)
    index = next(i for i, e in enumerate(events.by_unit[Unit.COMPUTE]) if e.command.wait_load)
    late = events.by_unit[Unit.COMPUTE][index]
    load = late.command.wait_load - 1
    start, done = cycles[Unit.LOAD][load]
    more = late.start - done + 40
    cycles[Unit.LOAD][load] = start, done + more
    for unit in Unit:
        for i, (begin, end) in enumerate(cycles[unit]):
            if begin > done:
                cycles[unit][i] = begin + more, end + more
    again = replayed(made, timing, cycles)
    assert cycles_of(again) == cycles
    stalls = again.by_unit[Unit.COMPUTE][index].stalls
    assert stalls["weights"] + stalls["activations"] >= 40


def test_layers_share_all_cycles_and_bytes():
    made, timing = program(4)
    events = events_of(made, timing).by_unit
    (whole,) = layer_stats(made.config, 1, events)
    assert whole.cycles == events[Unit.LOAD][-1].done + 1
    moved = [bytes_moved(made.config, e.command) for unit in Unit for e in events[unit]]
    assert (whole.bytes_read, whole.bytes_written) == tuple(map(sum, zip(*moved, strict=True)))
    busy = sum(e.free - e.start for e in events[Unit.COMPUTE])
    after = whole.cycles - events[Unit.COMPUTE][-1].free
    assert whole.cycles == busy + sum(whole.stalls.values()) + after


def test_a_program_that_waits_for_itself_is_refused():
    made, timing = program(5)
    late = made.changed(Unit.COMPUTE, 0, wait_store=1)
    with pytest.raises(ExecutionError, match="waits for itself"):
        events_of(late, timing)


def test_a_queue_that_overflows_is_refused():
    """Three times half a queue of commands that wait for a store that never comes."""
    made, timing = program(6)
    waiting = replace(made.streams.commands[Unit.COMPUTE][0], wait_load=0, wait_store=1)
    half = CONFIG.queue_depth // 2
    fetch = Fetch(address=0, unit=Unit.COMPUTE, count=half)
    found = {Unit.LOAD: [fetch] * 3, Unit.COMPUTE: [waiting] * half}
    boot = Fetch(address=0, unit=Unit.LOAD, count=3)
    events = Events(made.config, timing, lambda fetch: found[fetch.unit], boot)
    with pytest.raises(ExecutionError, match="queue overflows"):
        events.complete()


def test_commands_beyond_the_memory_are_refused():
    made, timing = program(7)
    with pytest.raises(ExecutionError, match="of a memory of"):
        events_of(made, timing, made.image[: made.streams.addresses[Unit.LOAD] + 8])
