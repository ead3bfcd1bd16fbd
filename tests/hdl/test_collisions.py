"""No word is used that was read from a memory in the cycle in which it was written.

Such a read gives the old word in simulation, but not everywhere in hardware, and keeping the old
word would take registers. Here it gives a wrong word, and nothing changes.
"""

import random
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.deform_programs import deformable
from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_layer
from tilewright.api.compile import compile_graph
from tilewright.api.verify import verify
from tilewright.hdl import verilog
from tilewright.hdl.families import get_family
from tilewright.hdl.yosys import run_yosys
from tilewright.isa.registers import Status
from tilewright.sim.rtl import RtlEngine
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target


def poisoned(config, directory):
    """Return the engine's Verilog with memories that answer nonsense after a collision."""
    (directory / "engine.il").write_text(verilog.engine_rtlil(config))
    reads = "t:$memrd_v2 r:CLK_ENABLE=1 %i r:TRANSPARENCY_MASK=1'0 %i"
    passes = ["read_rtlil engine.il", f"setparam -set COLLISION_X_MASK 1'1 {reads}", "proc"]
    passes += ["memory_collect", "write_verilog -norename -noattr engine.v"]
    run_yosys(passes, directory)
    text = (directory / "engine.v").read_text()

    def nonsense(match):
        width = int(match[1])
        return f"<= {width}'b" + ("10" * width)[:width]

    text, count = re.subn(r"<= (\d+)'hx+", nonsense, text)
    # Two assignments for each: columns of the activation buffer's lanes, or of their halves, and of
    # weights; halves of the buffer of offsets; queues, results, counters; places, which are in
    # block RAM only where nothing is pipelined.
    halves = 2 if config.offset_depth else 1

    def columns(depth):
        return (
            -(-8 * config.rows // get_family(config.dsp).block_width(depth))
            if config.pipelined
            else 1
        )

    lanes = config.cols * halves * columns(-(-config.act_depth // halves))
    offsets = 2 if config.offset_depth else 0
    weights = columns(config.weight_depth // config.weights_per_byte)
    rest = 4 + config.counters + (not config.pipelined)
    assert count == 2 * (lanes + offsets + weights + rest)
    return text


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["4x2-small", "4x4-bus64"])
def test_a_collision_spoils_nothing(engine, tmp_path, monkeypatch):
    config = ENGINES[engine]
    text = poisoned(config, tmp_path)
    monkeypatch.setattr(verilog, "engine_verilog", lambda _: text)
    for seed in range(12):
        graph, inputs = random_layer(np.random.default_rng(seed), config)
        verify(compile_graph(graph, Target(engine=config)), inputs)


@pytest.mark.slow
def test_a_collision_spoils_no_sample(tmp_path, monkeypatch):
    config = replace(ENGINES["4x4-bus64"], offset_depth=512)
    text = poisoned(config, tmp_path)
    monkeypatch.setattr(verilog, "engine_verilog", lambda _: text)
    with RtlEngine(config).session() as session:
        for seed in range(12):
            program = deformable(config, random.Random(seed))
            memory, run = program.rtl(session, MemoryTiming(3, 3))
            assert run.status is Status.DONE, f"seed {seed}"
            np.testing.assert_array_equal(memory, program.expected, err_msg=f"seed {seed}")
