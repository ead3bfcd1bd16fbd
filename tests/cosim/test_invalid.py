"""Programs that break the rules end alike on executor and RTL; a soft reset brings the RTL back.

``TILEWRIGHT_FUZZ=1`` runs 500 of them instead of a sample.
"""

import os
import random
import time

import numpy as np
import pytest

from tests.cosim.invalid import ENGINES, TIMING, changed, compare, run_isa, source
from tilewright.isa import ISA_VERSION, Check, End, Fetch, LoadWeights, Store, Unit, encode
from tilewright.isa.registers import Status
from tilewright.isa.rules import RULES
from tilewright.sim.effects.machine import Machine
from tilewright.sim.errors import ExecutionError
from tilewright.sim.queues import MAX_ROUNDS
from tilewright.sim.rtl import RtlEngine

NAMES = pytest.mark.parametrize(
    "name",
    [
        "plain",
        "whole",
        *(pytest.param(x, marks=pytest.mark.exhaustive) for x in ("tiles", "wide", "halves")),
    ],
)
COUNT = 250 if os.environ.get("TILEWRIGHT_FUZZ") else 25


def first(program, kind):
    commands = program.streams.commands[kind.UNIT]
    return kind.UNIT, next(i for i, c in enumerate(commands) if isinstance(c, kind))


@pytest.mark.slow
@NAMES
def test_executor_and_rtl_end_alike(name):
    rtl = RtlEngine(ENGINES[name])
    for seed in range(COUNT):
        what, wrong, _, _ = compare(source(name, seed % 8), rtl, random.Random(seed))
        assert not wrong, f"seed {seed}: {what}: {wrong}"


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_second_column_of_a_tile_goes_to_the_next_word():
    """From the last lane it went nowhere, or to the first lane of the same word."""
    program = source("tiles", 0)
    commands = program.streams.commands[Unit.COMPUTE]
    index = next(i for i, c in enumerate(commands) if c.partial and c.to_act)
    assert commands[index].tile_w == 2
    changed = program.changed(Unit.COMPUTE, index, dst_lane=program.config.cols - 1)
    memory, _, cycles = changed.isa(TIMING)
    assert (memory != program.expected).any()
    with RtlEngine(program.config).session() as session:
        found, run = changed.rtl(session, TIMING)
    assert (run.status, run.cycles) == (Status.DONE, cycles)
    np.testing.assert_array_equal(found, memory)


@NAMES
def test_a_strict_executor_refuses_no_less(name):
    """What hardware refuses, tools do; and what hardware runs they may refuse all the same."""
    more = 0
    for seed in range(64):
        program = source(name, seed % 8)
        image, count, what, _ = changed(program, random.Random(seed))
        ended = run_isa(program, image.copy(), count)
        try:
            machine = Machine(program.config, image.copy(), TIMING, strict=True)
            machine.run(program.streams.addresses[Unit.LOAD], count)
        except ExecutionError:
            more += ended.status is Status.DONE
            continue
        assert ended.status in (Status.DONE, Status.WATCHDOG), f"seed {seed}: {what}"
    assert more or name == "tiles"  # of whose changes few are such


@NAMES
def test_executor_ends_with_a_status(name):
    ended = set()
    for seed in range(60):
        program = source(name, seed % 8)
        image, count, what, _ = changed(program, random.Random(seed))
        try:
            ended.add(run_isa(program, image, count).status)
        except BaseException as error:
            error.add_note(f"seed {seed}: {what}")
            raise
    assert {Status.DONE, Status.BAD_COMMAND, Status.WATCHDOG} <= ended


@NAMES
def test_sound_programs_run(name):
    for seed in range(8):
        program = source(name, seed)
        memory, _, _ = program.isa(TIMING)
        np.testing.assert_array_equal(memory, program.expected, err_msg=f"seed {seed}")


def failure(program, unit, index, **fields):
    """Run a program with a command that says something else; return the error."""
    bad = program.changed(unit, index, **fields)
    with pytest.raises(ExecutionError) as caught:
        bad.isa(TIMING)
    assert (caught.value.unit, caught.value.index) == (unit, index)
    return caught.value


def test_a_store_of_everything_allocates_nothing():
    program = source("plain", 0)
    unit, index = first(program, Store)
    error = failure(program, unit, index, groups=65535, height=65535, width=65535)
    assert error.status is Status.BAD_COMMAND


def test_bytes_beyond_the_memory_are_a_bus_error():
    program = source("plain", 0)
    machine = Machine(program.config, program.image[:4096].copy(), TIMING)
    place = first(program, LoadWeights)
    size = program.config.command_bytes(Unit.LOAD)
    at = program.streams.addresses[Unit.LOAD] + place[1] * size
    bad = program.changed(*place, address=MEMORY_END)
    machine.memory[at : at + size] = bad.image[at : at + size]
    with pytest.raises(ExecutionError, match="of a memory of 4096") as caught:
        machine.run(program.streams.addresses[Unit.LOAD], program.streams.boot_count)
    assert (caught.value.status, caught.value.index) == (Status.READ_ERROR, place[1])


MEMORY_END = 0xF000


def test_a_program_of_too_many_commands_has_an_end(monkeypatch):
    monkeypatch.setattr("tilewright.sim.events.MAX_COMMANDS", 10)
    with pytest.raises(ExecutionError, match="more than 10 commands"):
        source("plain", 0).isa(TIMING)


def test_a_fetch_of_itself_ends_within_seconds():
    """It took half a minute, until the run had as many commands as one may have."""
    program = source("plain", 0)
    loads = program.streams.commands[Unit.LOAD]
    index = next(i for i, c in enumerate(loads) if isinstance(c, Fetch) and c.unit == Unit.LOAD)
    size = program.config.command_bytes(Unit.LOAD)
    address = program.streams.addresses[Unit.LOAD] + index * size
    image = program.changed(Unit.LOAD, index, address=address, count=1).image.copy()
    machine = Machine(program.config, image, TIMING)
    start = time.monotonic()
    with pytest.raises(ExecutionError, match="round in a circle") as caught:
        machine.run(address, 1)
    assert caught.value.status is Status.WATCHDOG
    assert time.monotonic() - start < 5


def test_commands_that_come_again_are_no_circle():
    """A block of loads that is fetched again and again, as often as the program says."""
    program = source("plain", 0)
    config, rounds = program.config, 2 * MAX_ROUNDS
    size = config.command_bytes(Unit.LOAD)
    image = program.image.copy()
    block = 1 << 14
    commands = [Check(version=ISA_VERSION, digest=config.digest)]
    for number in range(rounds):
        commands.append(Fetch(address=0, unit=Unit.LOAD, count=1))
        commands.append(Fetch(address=block + (2 * number + 3) * size, unit=Unit.LOAD, count=2))
    commands.append(End())
    data = b"".join(encode(c, size) for c in commands)
    image[block : block + len(data)] = np.frombuffer(data, np.uint8)
    image[:size] = np.frombuffer(encode(commands[0], size), np.uint8)
    machine = Machine(config, image, TIMING)
    machine.run(block, 3)
    assert len(machine.events[Unit.LOAD]) == 1 + 3 * rounds + 1


@pytest.mark.parametrize("count", [0, 9, 2**16 - 1, 2**63])
def test_a_first_fetch_of_no_or_too_many_commands_is_refused(count):
    program = source("plain", 0)
    machine = Machine(program.config, program.image.copy(), TIMING)
    with pytest.raises(ExecutionError, match=r"1\.\.queue_depth commands") as caught:
        machine.run(program.streams.addresses[Unit.LOAD], count)
    assert (caught.value.status, caught.value.unit, caught.value.index) == (
        Status.BAD_COMMAND, Unit.LOAD, 0,
    )  # fmt: skip


def test_a_refusal_in_the_cycle_before_the_end_counts():
    """The executor said that the run was done: it looked at no unit after the last load."""
    program = source("halves", 3)
    loads = program.streams.commands[Unit.LOAD]
    index = next(i for i, c in enumerate(loads) if isinstance(c, Fetch) and c.unit == Unit.STORE)
    more = program.changed(Unit.LOAD, index, count=2)
    outcome = run_isa(more, more.image.copy(), more.streams.boot_count)
    assert outcome.place == (Status.BAD_COMMAND, Unit.STORE, 1)


def test_rules_that_hardware_has_not_say_what_it_does():
    assert all(not rule.otherwise or len(rule.otherwise) > 10 for rule in RULES)
    assert any(rule.otherwise for rule in RULES)
