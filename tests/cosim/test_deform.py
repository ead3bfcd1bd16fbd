"""Deformable commands on the functional executor and on RTL, against plain Python."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.deform_programs import deformable
from tests.cosim.engines import ENGINES
from tilewright.isa import Check, Deform, Unit
from tilewright.isa.registers import Status
from tilewright.sim.effects.machine import Machine
from tilewright.sim.errors import ExecutionError
from tilewright.sim.rtl import RtlEngine
from tilewright.sim.timing import MemoryTiming

ENGINE_NAMES = ("4x2-small", "8x7-bus32", "8x5-bus64-w4")
CASES = 40
# Interpolation as fine as can be, coarser, and none.
LIMITS = {"4x2-small": (4, 0), "8x5-bus64-w4": (0, 3)}


def engine(name):
    fraction, mask = LIMITS.get(name, (8, 8))
    return replace(
        ENGINES[name],
        offset_depth=512,
        offset_fraction=fraction,
        mask_fraction=mask,
        pipelined=True,
        products=ENGINES[name].dsp != "ice40",
    )


@pytest.mark.parametrize("name", ENGINES)
def test_executor_matches_plain_python(name):
    for seed in range(CASES):
        program = deformable(engine(name), random.Random(seed))
        memory, _, _ = program.isa(MemoryTiming(5, 5))
        np.testing.assert_array_equal(memory, program.expected, err_msg=f"seed {seed}")


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINE_NAMES)
def test_results_and_cycles_agree(name):
    config = engine(name)
    rtl = RtlEngine(config)
    with rtl.session() as session:
        for seed in range(CASES):
            rng = random.Random(seed)
            program = deformable(config, rng)
            timing = MemoryTiming(rng.randint(1, 60), rng.randint(1, 60))
            _, events, cycles = program.isa(timing)
            memory, run = program.rtl(session, timing)
            assert run.status is Status.DONE, f"seed {seed}"
            np.testing.assert_array_equal(memory, program.expected, err_msg=f"seed {seed}")
            for unit in Unit:
                assert run.starts[unit].tolist() == [e.start for e in events[unit]], f"seed {seed}"
                assert run.dones[unit].tolist() == [e.done for e in events[unit]], f"seed {seed}"
            if config.counters:
                assert run.cycles == cycles, f"seed {seed}"


def first(program, kind):
    """Return the unit and the index of a program's first command of a kind."""
    commands = program.streams.commands[kind.UNIT]
    return kind.UNIT, next(i for i, c in enumerate(commands) if isinstance(c, kind))


def sampled(config, seed, **wanted):
    """Return a program whose first command is deformable and has these fields' values."""
    while True:
        rng = random.Random(seed)
        program = deformable(config, rng, 1)
        commands = program.streams.commands[Unit.COMPUTE]
        if isinstance(commands[0], Deform) and all(
            getattr(commands[0], name) == value for name, value in wanted.items()
        ):
            return program
        seed += 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda d, _: {"taps": d.taps + 1}, "as many taps"),
        (lambda d, c: {"row_pitch": d.row_pitch + 1}, "an odd row_pitch"),
        (lambda d, c: {"row_pitch": c.act_ring + 1}, "even number"),
        (lambda d, c: {"row_base": c.act_ring}, "holds its Deform's rows"),
        (lambda d, c: {"rows": c.act_ring // d.row_pitch + 1}, "holds its Deform's rows"),
        (lambda d, c: {"rows": 0}, "reaches input row"),
        (lambda d, _: {"last_parts": 0}, "last_parts"),
        (lambda d, _: {"last_parts": 5}, "last_parts"),
        (lambda d, _: {"shared": 0}, "share positions"),
        (lambda d, _: {"offset_byte": 1}, "bytes of a word"),
        (lambda d, _: {"mask_base": d.offset_base}, "same half"),
        (lambda d, _: {"fraction": 9}, "fractions that"),
        (lambda d, _: {"mask_fraction": 1}, "larger than 1"),
    ],
)
def test_contradictions_are_refused(changes, message):
    config = engine("4x4-bus64")
    program = sampled(config, 120, mask_fraction=8)
    unit, index = first(program, Deform)
    deform, compute = program.streams.commands[unit][index : index + 2]
    bad = program.changed(unit, index, **changes(deform, compute))
    with pytest.raises(ExecutionError, match=message):
        bad.isa(MemoryTiming(1, 1))


@pytest.mark.slow
def test_hardware_refuses_what_it_cannot_do():
    """Too fine for this engine; and a command of an engine with a sampler on one without."""
    config = engine("8x5-bus64-w4")
    program = sampled(config, 1, fraction=0)
    unit, index = first(program, Deform)
    plain = replace(config, offset_depth=0)
    check = first(program, Check)
    with RtlEngine(config).session() as session:
        for fields in ({"fraction": 1}, {"mask_fraction": 4}, {"bits": 1 << 300}):
            _, run = program.changed(unit, index, **fields).rtl(session, MemoryTiming(1, 1))
            assert (run.status, run.unit, run.index) == (Status.BAD_COMMAND, unit, index)
        memory, run = program.rtl(session, MemoryTiming(1, 1))
        assert run.status is Status.DONE
        np.testing.assert_array_equal(memory, program.expected)
    with RtlEngine(plain).session() as session:
        program = replace(program, config=plain)
        program = program.changed(*check, digest=plain.digest)
        _, run = program.rtl(session, MemoryTiming(1, 1))
        assert (run.status, run.unit, run.index) == (Status.BAD_COMMAND, unit, index)
        with pytest.raises(ExecutionError, match="with a sampler"):
            program.isa(MemoryTiming(1, 1))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["8x7-bus32", "8x5-bus64-w4"])
def test_a_last_word_that_comes_too_early_stops_hardware(name):
    """Every number of samples in the last word: those that run, run alike; the others stop."""
    config, ended = engine(name), Counter()
    with RtlEngine(config).session() as session:
        for seed in range(8):
            program = sampled(config, 40 * seed)
            unit, index = first(program, Deform)
            for parts in range(1, config.cols + 1):
                changed = program.changed(unit, index, last_parts=parts)
                machine = Machine(config, changed.image.copy(), MemoryTiming(3, 3))
                memory, run = changed.rtl(session, MemoryTiming(3, 3))
                where = f"seed {seed}, {parts} samples"
                try:
                    machine.run(changed.streams.addresses[Unit.LOAD], changed.streams.boot_count)
                except ExecutionError as error:
                    place = (error.status, error.unit, error.index)
                    assert place == (run.status, run.unit, run.index), where
                    ended[error.status] += 1
                    continue
                assert run.status is Status.DONE, where
                assert run.cycles == machine.finished + 1, where
                np.testing.assert_array_equal(memory, machine.memory, err_msg=where)
                ended[run.status] += 1
    assert min(ended[Status.DONE], ended[Status.BAD_COMMAND]) > 5, ended
