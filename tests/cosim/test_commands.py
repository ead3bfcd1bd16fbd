"""Sequences of commands that once went wrong, on every executor."""

import numpy as np

from tests.cosim.engines import ENGINES
from tilewright.compiler.ir import Conv2d, Graph, Input, Output, Requantize, Rescale, TensorType
from tilewright.executors import verify
from tilewright.program import compile_graph
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target


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
