"""Deformable commands on the functional executor and on RTL, against plain Python."""

import random
from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.deform_programs import deformable
from tests.cosim.engines import ENGINES
from tilewright.compiler.isa import Unit
from tilewright.compiler.isa.registers import Status
from tilewright.sim.rtl import RtlEngine
from tilewright.sim.timing import MemoryTiming

ENGINE_NAMES = ("4x2-small", "8x7-bus32", "8x5-bus64-w4")
CASES = 40
# Interpolation as fine as can be, coarser, and none.
LIMITS = {"4x2-small": (4, 0), "8x5-bus64-w4": (0, 3)}


def engine(name):
    fraction, mask = LIMITS.get(name, (8, 8))
    return replace(ENGINES[name], offset_depth=512, offset_fraction=fraction, mask_fraction=mask)


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
