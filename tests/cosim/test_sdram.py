"""Programs on an engine with its own memory: engine, controller and chip, pin by pin.

The cycles of every command are predicted, refreshes and open rows included.
"""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.cosim.random_networks import random_network
from tilewright import SDRAM, Error, Program, Target
from tilewright.api.compile import compile_graph
from tilewright.api.verify import verify
from tilewright.boards import BOARDS
from tilewright.sim.timing.memory import sdram

CLOCK_MHZ = 112.5
#: Chips and registers in the pads: as boards have them, and none, one and an uneven number.
SYSTEMS = {
    "4x4-bus64": SDRAM("IS42S16160G-7", CLOCK_MHZ),
    "8x7-bus32": SDRAM("W9825G6KH-6", CLOCK_MHZ, 1),
    "8x7-bus64": SDRAM("EM638325-6", CLOCK_MHZ, 3),
}
CASES = 4


def program_of(engine, seed, size=None, memory=None):
    config = ENGINES[engine]
    rng = np.random.default_rng(seed)
    size = size or tuple(int(n) for n in rng.integers(3, 30, 2))
    graph, inputs = random_network(rng, config, size)
    target = Target(engine=config, memory=memory or SYSTEMS[engine])
    return compile_graph(graph, target), inputs


@pytest.mark.slow
@pytest.mark.parametrize("engine", SYSTEMS)
def test_random_networks_agree(engine):
    for seed in range(CASES):
        program, inputs = program_of(engine, seed)
        try:
            verify(program, inputs)
        except Exception as error:
            pytest.fail(f"seed {seed}, engine {engine}: {error}")


@pytest.mark.slow
@pytest.mark.parametrize("board", [name for name, board in BOARDS.all().items() if board.sdram])
def test_every_boards_own_memory(board):
    program, inputs = program_of("4x4-bus64", 0, (5, 6), Target.from_board(board).memory)
    verify(program, inputs)


@pytest.mark.slow
def test_a_row_left_open_is_noticed(monkeypatch):
    """The comparison can fail: a model that forgets that rows are open is another one."""
    program, inputs = program_of("4x4-bus64", 0, (12, 12))
    opened = sdram.SDRAMRun._opened

    def closed(run, look, piece):
        run._open = [None] * 4
        return opened(run, look, piece)

    monkeypatch.setattr(sdram.SDRAMRun, "_opened", closed)
    with pytest.raises(Error, match="cycle"):
        verify(program, inputs)


def test_program_file_keeps_the_chip(tmp_path):
    program, _ = program_of("4x4-bus64", 0, (8, 8))
    program.save(tmp_path / "net.tw")
    assert Program.load(tmp_path / "net.tw").target.memory == program.target.memory


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("IS42S16160G", 100.0), "chip must be one of"),
        (("IS42S16160G-7", 150.0), "clock_mhz must be"),
        (("IS42S16160G-7", 100.0, 9), "pad_latency must be"),
        ((16, 100.0), "chip must be"),
    ],
)
def test_rejects_a_memory_that_does_not_exist(arguments, message):
    with pytest.raises(Error, match=message):
        SDRAM(*arguments)


def test_rejects_a_bus_that_does_not_fit():
    wide = replace(ENGINES["8x7-bus64"], burst_beats=128)
    with pytest.raises(Error, match="burst_beats must be at most 32"):
        Target(engine=wide, memory=SDRAM("IS42S16160G-7", CLOCK_MHZ))
    with pytest.raises(Error, match="data_width must be 2, 4 or 8 times"):
        Target(engine=ENGINES["8x7-bus32"], memory=SDRAM("EM638325-6", CLOCK_MHZ))
