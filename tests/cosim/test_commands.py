"""Sequences of commands that once went wrong, on every executor."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tilewright.api.compile import compile_graph
from tilewright.api.verify import verify
from tilewright.compiler.ir import Conv2d, Graph, Input, Output, Requantize, Rescale, TensorType
from tilewright.isa import Compute, LoadActivations, Unit, decode, encode
from tilewright.sim.effects.machine import Machine
from tilewright.sim.errors import ExecutionError
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target


@pytest.mark.parametrize(
    ("command", "changes", "message"),
    [
        (Compute, {"maximum": 1}, "weights are 0 or 1"),
        (Compute, {"table": 1}, "options that the engine has"),
        (LoadActivations, {"pixel": 2}, "pixels of a size"),
    ],
)
def test_commands_that_the_engine_refuses_do_not_run(command, changes, message):
    """The executor is no more lenient than the hardware."""
    rng = np.random.default_rng(0)
    kind = TensorType((8, 6, 7), 8, True, 1.0, 0)
    conv = Conv2d(
        "conv", "x", "y", rng.integers(2, 128, (8, 8, 3, 3)), 8, np.zeros(8, int),
        (1, 1), (1, 1, 1, 1), (1, 1), 1, Requantize((1,) * 8, (7,) * 8, 0, -128, 127),
    )  # fmt: skip
    graph = Graph("g", dict.fromkeys("xy", kind), (Input("i", "x"), conv, Output("o", "y")))
    program = compile_graph(graph, Target(engine=ENGINES["8x7-bus64"]))
    memory = program.memory([rng.integers(-128, 128, (1, *kind.shape))])
    address, count = program.streams[command.UNIT]
    size = command.UNIT.least_bytes
    for index in range(count):
        span = slice(address + index * size, address + (index + 1) * size)
        found = decode(command.UNIT, memory[span].tobytes())
        if isinstance(found, command):
            memory[span] = np.frombuffer(encode(replace(found, **changes)), np.uint8)
    machine = Machine(program.engine, memory, program.target.memory, strict=True)
    with pytest.raises(ExecutionError, match=message):
        machine.run(program.streams[Unit.LOAD][0], program.boot_count)


def test_short_passes_after_long_ones_wait_for_the_requantizers():
    """Where four rows share a requantizer, the engine lost results and never finished."""
    rng = np.random.default_rng(0)
    kind = TensorType((24, 6, 7), 8, True, 1.0, 0)
    r = Requantize((1,) * 24, (7,) * 24, 0, -128, 127)
    conv = Conv2d(
        "conv", "x", "y", rng.integers(-128, 128, (24, 24, 3, 3)), 8, np.zeros(24, int),
        (1, 1), (1, 1, 1, 1), (1, 1), 1, r,
    )  # fmt: skip
    # Independent of the convolution, so nothing else makes it wait.
    rescale = Rescale("rescale", "x", "z", r)
    graph = Graph(
        "branches",
        dict.fromkeys("xyz", kind),
        (Input("input", "x"), conv, rescale, Output("a", "y"), Output("b", "z")),
    )
    config = ENGINES["8x7-bus32"]
    program = compile_graph(graph, Target(engine=config, memory=MemoryTiming(1, 1)))
    verify(program, [rng.integers(-128, 128, (1, *kind.shape))])
