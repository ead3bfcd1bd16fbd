"""Every board's whole system in Verilator, by its driver: outputs are golden, cycles predicted."""

from dataclasses import replace

import numpy as np
import pytest

import tilewright as tw
from tests.boards.test_system import small_layer
from tilewright.api.simulated import simulated_board
from tilewright.boards import BOARDS, get_board
from tilewright.boards.link.host import HostLink
from tilewright.device import Device
from tilewright.isa import Unit

#: Of an engine: so that its RTL is compiled in seconds. The bus stays the board's.
SMALL = {
    "rows": 4, "cols": 3, "requantizers": 1, "tables": 0, "act_depth": 128, "weight_depth": 256,
    "out_depth": 64, "queue_depth": 8, "burst_beats": 8, "outstanding": 2,
}  # fmt: skip
#: One board of each FPGA, where several differ in their engines.
BOARDS_APART = {
    board.part: name for name, board in sorted(BOARDS.all().items(), reverse=True)
}.values()


def verified(board, target, program, inputs):
    """Run a program on a simulated board, and compare elements and every command's cycle."""
    line = simulated_board(replace(board, engine=target.engine))
    with Device(HostLink(line, patience=0.0), name=board.name, trace=line) as device:
        device.load(program)
        seen = device.verify(inputs)
    assert seen.commands == sum(len(program.commands(unit)) for unit in Unit)
    assert seen.cycles == tw.estimate(program).cycles.value


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("name", BOARDS_APART)
def test_a_layer_on_every_board(name):
    board, target = get_board(name), tw.Target.from_board(name)
    engine = target.engine
    if engine.rows * engine.cols > 12:
        target = replace(target, engine=replace(engine, **SMALL))
    graph, _ = small_layer(target.engine.multiplier_width)
    program = tw.compile_graph(graph, target)
    images = np.random.default_rng(3).integers(-128, 128, (3, 3, 6, 7))
    verified(board, target, program, images)
