"""A command, the program or the bus is at fault in the middle of a run.

The status says so and names the command; what the counters claim to be stored is in memory, what
they do not claim is not; a soft reset brings the engine back.
"""

import random

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.cosim.programs import stream
from tilewright.errors import Error
from tilewright.isa import (
    ISA_VERSION,
    Check,
    Fetch,
    LoadActivations,
    LoadWeights,
    Unit,
)
from tilewright.isa.registers import Status
from tilewright.sim.errors import ExecutionError
from tilewright.sim.rtl import RtlEngine
from tilewright.sim.timing import MemoryTiming

ENGINE = ENGINES["4x4-bus64"]
TIMING = MemoryTiming(10, 10)
STORES = 8


@pytest.fixture(scope="module")
def rtl():
    return RtlEngine(ENGINE)


@pytest.fixture(scope="module")
def program():
    return stream(ENGINE, random.Random(3), STORES)


def check_failure(rtl, program, status, unit, index, **options):
    """Run a program that fails at a command; then the sound one on the same engine."""
    sound = options.pop("sound", program)
    with rtl.session() as session:
        memory, run = program.rtl(session, TIMING, **options)
        assert run.status is status
        assert run.status.is_error
        assert (run.unit, run.index) == (unit, index)
        assert run.error_address == index * unit.least_bytes
        # All of the unit's commands before, and none from this one on, count as done.
        assert run.counters[f"{unit.name}_DONE"] == len(run.dones[unit]) == index
        stored = run.counters["STORE_DONE"]
        assert stored < STORES
        for number, (address, data) in enumerate(sound.stores):
            found = memory[address : address + len(data)].tobytes()
            if number < stored:
                assert found == data, f"store {number} of {stored}"
            elif number > stored:  # the one under way may have got anywhere
                assert found == b"\xa5" * len(data), f"store {number} of {stored}"
        # Counters of cycles stand still.
        assert run.cycles == session.read_register("CYCLES")
        assert run.counters["STALL_COMMAND"] == session.read_register("STALL_COMMAND")
        memory, run = sound.rtl(session, TIMING)
        assert run.status is Status.DONE
        np.testing.assert_array_equal(memory, sound.expected)


def nth(program, kind, number):
    """Return the index of the n-th load command of a kind."""
    commands = program.streams.commands[Unit.LOAD]
    return [i for i, command in enumerate(commands) if isinstance(command, kind)][number]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Fetch, LoadActivations, LoadWeights])
def test_read_error_in_mid_run(rtl, program, kind):
    index = nth(program, kind, 4)
    address = program.streams.commands[Unit.LOAD][index].address
    check_failure(
        rtl, program, Status.READ_ERROR, Unit.LOAD, index, error_address=address, error_on="read"
    )


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 3, STORES - 1])
def test_write_error_in_mid_run(rtl, program, index):
    address, data = program.stores[index]
    check_failure(
        rtl, program, Status.WRITE_ERROR, Unit.STORE, index,
        error_address=address + len(data) - 1, error_on="write",
    )  # fmt: skip


@pytest.mark.slow
def test_another_version_and_another_engine_are_refused_at_once(rtl, program):
    index = nth(program, Check, 0)
    for fields in ({"version": ISA_VERSION + 1}, {"digest": ENGINE.digest ^ 1}):
        other = program.changed(Unit.LOAD, index, **fields)
        check_failure(rtl, other, Status.CONFIG_MISMATCH, Unit.LOAD, index, sound=program)
        with pytest.raises(ExecutionError, match="digest of the engine"):
            other.isa(TIMING)


@pytest.mark.slow
@pytest.mark.parametrize("unit", Unit)
def test_bad_command_in_mid_run(rtl, program, unit):
    index = nth(program, LoadActivations, 4) if unit is Unit.LOAD else 4
    for bits in (1 << (8 * unit.least_bytes - 1), 0x80):  # the last bit, the opcode
        bad = program.changed(unit, index, bits=bits)
        check_failure(rtl, bad, Status.BAD_COMMAND, unit, index, sound=program)
        with pytest.raises(Error):
            bad.isa(TIMING)


@pytest.mark.slow
def test_fetch_of_more_than_the_queue_holds(rtl, program):
    index = nth(program, Fetch, 3)
    bad = program.changed(Unit.LOAD, index, count=ENGINE.queue_depth + 1)
    check_failure(rtl, bad, Status.BAD_COMMAND, Unit.LOAD, index, sound=program)
    with pytest.raises(ExecutionError, match="commands"):
        bad.isa(TIMING)


@pytest.mark.slow
@pytest.mark.parametrize("unit", [Unit.COMPUTE, Unit.STORE])
def test_program_that_waits_for_itself(rtl, program, unit):
    index = 3
    field = "wait_store" if unit is Unit.COMPUTE else "wait_compute"
    bad = program.changed(unit, index, **{field: STORES + 1})
    with pytest.raises(ExecutionError, match="waits for itself"):
        bad.isa(TIMING)
    with rtl.session() as session:
        _, run = bad.rtl(session, TIMING, watchdog=3000)
        assert run.status is Status.WATCHDOG
        assert run.counters["STORE_DONE"] == 3
        memory, run = program.rtl(session, TIMING)
        assert run.status is Status.DONE
        np.testing.assert_array_equal(memory, program.expected)


@pytest.mark.slow
def test_stop_in_mid_run(rtl, program):
    whole = program.isa(TIMING)[2]
    with rtl.session() as session:
        for share in (0.1, 0.5, 0.9):
            memory, run = program.rtl(session, TIMING, stop_after=int(whole * share))
            assert run.status is Status.STOPPED
            assert run.counters["STORE_DONE"] < STORES
            assert run.cycles < whole
        memory, run = program.rtl(session, TIMING)
        assert (run.status, run.cycles) == (Status.DONE, whole)
        np.testing.assert_array_equal(memory, program.expected)
