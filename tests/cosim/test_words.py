"""golden == isa == rtl where rows of results share words: every element and every cycle."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_layer, random_requantize, random_type
from tests.cosim.random_networks import random_network
from tests.strategies.agree import hold
from tilewright.api.compile import compile_graph
from tilewright.compiler import ir
from tilewright.isa import Compute, Unit
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

ENGINE = replace(ENGINES["4x4-bus64"], shared_words=True)
#: With a requantizer for each row, and with one; the next command waits in a register, or not.
RTL = {
    "4x6": replace(ENGINE, cols=6, requantizers=None),
    "2x9": replace(ENGINE, rows=2, cols=9, requantizers=1, tables=1, prefetch=False),
}


def program_of(seed, config, make):
    """Return a program, its inputs, and how many of its commands have words that rows share."""
    rng = np.random.default_rng(seed)
    latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
    graph, inputs = make(rng, config)
    program = compile_graph(graph, Target(engine=config, memory=latency))
    commands = [c for c in program.commands(Unit.COMPUTE) if isinstance(c, Compute)]
    return program, inputs, sum(c.accesses > 0 for c in commands)


def agree(config, seeds, make, *, rtl):
    """Compare executors on what seeds make; return how many programs have shared words."""
    found = 0
    for seed in seeds:
        program, inputs, shared = program_of(seed, config, make)
        found += shared > 0
        hold(program, inputs, seed, rtl=rtl)
    return found


def test_values_are_those_of_the_integer_graph():
    found = [
        agree(
            replace(ENGINE, cols=cols, requantizers=2 if cols % 2 else None),
            range(10 * cols, 10 * cols + 6),
            random_layer,
            rtl=False,
        )
        for cols in range(2, 17)
    ]
    assert sum(found) > 15


def beside(rng, config):
    """Return a graph of convolutions that read nothing of each other, and inputs.

    Results of rows that share words end in the lane in which the next row begins.
    """
    width = config.cols + 1
    values = {
        "x": random_type(rng, (2 * config.rows, 12, width)),
        "y": random_type(rng, (4 * config.rows, 12, width)),
    }
    inputs = [rng.integers(v.qmin, v.qmax + 1, (1, *v.shape)) for v in values.values()]
    ops = [ir.Input("first", "x"), ir.Input("second", "y")]
    for source, name, groups in (("x", "a", 4), ("a", "b", 4), ("y", "z", 1)):
        values[name] = random_type(rng, (groups * config.rows, 12, width))
        channels = values[source].shape[0]
        weight = rng.integers(-128, 128, (groups * config.rows, channels, 1, 1))
        scale = random_requantize(rng, values[name], config.multiplier_width)
        bias = rng.integers(-99, 99, len(weight))
        ops.append(
            ir.Conv2d(name, source, name, weight, 8, bias, (1, 1), (0,) * 4, (1, 1), 1, scale)
        )
    ops += [ir.Output("third", "b"), ir.Output("fourth", "z")]
    return ir.Graph("beside", values, tuple(ops)), inputs


def test_what_is_loaded_finds_room_between_rows():
    """A lane was written in two cycles that follow one another, and a word for it got lost."""
    config = replace(
        ENGINES["4x4-bus64"], cols=3, requantizers=None, shared_words=True, bus_width=32
    )
    assert agree(config, range(4), beside, rtl=True) == 4


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("4x6", marks=pytest.mark.exhaustive),
        pytest.param("2x9", marks=pytest.mark.slow),
    ],
)
def test_rtl_takes_the_same_cycles(engine):
    config = RTL[engine]
    assert agree(config, range(16), random_layer, rtl=True) > 3
    assert agree(config, range(4), lambda rng, c: random_network(rng, c, (9, 7)), rtl=True)
