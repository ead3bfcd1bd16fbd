"""Programs on engines whose memory is an FPGA's own large one.

The cycles of every command are predicted, those of bursts that wait for the other unit's included.
"""

from dataclasses import replace

import numpy as np
import pytest

from tests.boards.test_system import small_layer
from tests.cosim.engines import ENGINES
from tests.cosim.random_networks import random_network
from tilewright import Error, LargeMemory, MemoryTiming, Program, Target, connect
from tilewright.api.compile import compile_graph
from tilewright.api.cycles import events_of
from tilewright.api.verify import verify
from tilewright.sim.model import CycleModel
from tilewright.sim.timing.memory import large

MEMORY = LargeMemory("ice40")
CASES = 4


def program_of(engine, seed, size=None):
    config = ENGINES[engine]
    rng = np.random.default_rng(seed)
    size = size or tuple(int(n) for n in rng.integers(3, 30, 2))
    graph, inputs = random_network(rng, config, size)
    return compile_graph(graph, Target(engine=config, memory=MEMORY)), inputs


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["4x2-small", "2x2-bus32"])
def test_random_networks_agree(engine):
    for seed in range(CASES):
        program, inputs = program_of(engine, seed)
        try:
            verify(program, inputs)
        except Exception as error:
            pytest.fail(f"seed {seed}, engine {engine}: {error}")


@pytest.mark.slow
def test_reads_that_go_first_are_noticed(monkeypatch):
    """The comparison can fail: a model that lets reads go before writes is another one."""
    program, inputs = program_of("2x2-bus32", 0, (12, 12))
    step = large.LargeMemoryRun.step

    def reads_first(run):
        if run._reads is not None and run._writes is not None:
            run._writes = max(run._writes[0], run._free, run._reads[0]) + 1, run._writes[1]
        return step(run)

    monkeypatch.setattr(large.LargeMemoryRun, "step", reads_first)
    with pytest.raises(Error, match="cycle"):
        verify(program, inputs)


@pytest.mark.slow
def test_a_layer_on_the_whole_icebreaker_takes_the_cycles_predicted():
    """Engine, memory and link in RTL: no host's access delays a burst."""
    target = Target.from_board("icebreaker")
    graph, image = small_layer(target.engine.multiplier_width)
    program = compile_graph(graph, target)
    with connect("sim:icebreaker") as device:
        device.load(program)
        checked = device.verify(np.stack([image] * 2))
    assert checked.commands == sum(count for _, count in program.streams.values())
    assert checked.cycles == events_of(program).cycles
    fixed = replace(program, target=replace(target, memory=MemoryTiming(2, 1)))
    assert checked.cycles != events_of(fixed).cycles


def test_a_command_alone_takes_what_its_bursts_take():
    engine = Target.from_board("icebreaker").engine
    assert Target.from_board("icebreaker").memory == MEMORY
    model = CycleModel(engine, MEMORY)
    # A word of two bytes: a burst of a beat holds two, and takes four cycles with the reader's own.
    assert model.words(1000) - model.words(500) == 1000
    longer = CycleModel(replace(engine, burst_beats=16), MEMORY)
    # 16 beats of two cycles, and two before the next address.
    assert longer.words(1024) - longer.words(512) == 16 * (2 * 16 + 2)


def test_program_file_keeps_the_memory(tmp_path):
    program, _ = program_of("4x2-small", 0, (8, 8))
    program.save(tmp_path / "net.tw")
    assert Program.load(tmp_path / "net.tw").target.memory == MEMORY


def test_rejects_a_family_without_one_and_a_bus_that_does_not_fit():
    with pytest.raises(Error, match="FPGAs of 'ecp5' have no memory larger than block RAM"):
        LargeMemory("ecp5")
    with pytest.raises(Error, match="bus_width must be 32 with the large memory"):
        Target(engine=ENGINES["4x4-bus64"], memory=MEMORY)
