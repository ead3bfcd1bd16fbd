"""A board's whole system, its memory's chip included, at the bits of its serial line."""

import numpy as np
import pytest

from tests.boards.test_system import small_layer
from tilewright import Target
from tilewright.api.compile import compile_graph
from tilewright.api.runs import run_isa
from tilewright.api.simulated import simulated_board
from tilewright.boards.link.host import HostLink
from tilewright.isa import Unit
from tilewright.sim.rtl import RtlError


@pytest.mark.slow
def test_a_layer_takes_the_predicted_cycles_on_the_simulated_board():
    """Every command of it, behind the controller, the chip and the registers at its pins."""
    target = Target.from_board("ulx3s-12f")
    graph, image = small_layer(target.engine.multiplier_width)
    program = compile_graph(graph, target)
    board = simulated_board("ulx3s-12f")
    memory = HostLink(board).run(
        program.memory([image]), program.streams[Unit.LOAD][0], program.boot_count
    )
    np.testing.assert_array_equal(program.outputs(memory)[0], program.reference([image])[0][0])
    predicted = run_isa(program, program.memory([image]), lambda share: None)
    for unit in Unit:
        assert board.starts(unit).tolist() == predicted.starts[unit]
        assert board.dones(unit).tolist() == predicted.dones[unit]
    board.close()
    with pytest.raises(RtlError, match="switched off"):
        board.read(1)
