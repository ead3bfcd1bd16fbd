"""golden == isa == rtl where two words of results leave in a cycle: every element and every cycle.

python -m tests.cosim.test_pairs --seeds 0:200 [--rtl]
"""

from dataclasses import replace

import numpy as np
import pytest
import typer

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_layer
from tests.cosim.random_networks import random_network
from tests.strategies.agree import hold
from tilewright.api.compile import compile_graph
from tilewright.compiler import ir
from tilewright.compiler.ir import Requantize, TensorType
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import Compute, EngineConfig, Unit
from tilewright.isa.rules import RuleError, check_command
from tilewright.sim.timing import MemoryTiming
from tilewright.sim.timing.compute import compute_timing
from tilewright.target import Target

ENGINE = replace(ENGINES["4x4-bus64"], requantizers=8, shared_words=True)
#: An odd number of columns has a pixel that leaves alone; rows of two channels share a beat.
RTL = {
    "4x5": replace(ENGINE, cols=5),
    "2x16": replace(ENGINE, rows=2, cols=16, requantizers=4, tables=1),
    "4x9": replace(ENGINE, cols=9, folds=2),
    "4x4": replace(ENGINE, shared_words=False),
    "2x8": replace(ENGINE, rows=2, cols=8, requantizers=4, offset_depth=64, acc_width=24),
}


def random_case(seed, config, make=random_layer):
    """Return a program and inputs, and its commands without and with pairs; None: no room."""
    rng = np.random.default_rng(seed)
    latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
    graph, inputs = make(rng, config)
    try:
        program = compile_graph(graph, Target(engine=config, memory=latency))
    except EngineLimitError:
        return None
    paired = [c.pair for c in program.commands(Unit.COMPUTE) if isinstance(c, Compute)]
    return program, inputs, (paired.count(0), paired.count(1))


def agree(config, seeds, make=random_layer, *, rtl):
    """Compare executors on what seeds make; return the commands without and with pairs."""
    found = np.zeros(2, int)
    for seed in seeds:
        case = random_case(seed, config, make)
        if case is None:
            continue
        program, inputs, counts = case
        found += counts
        hold(program, inputs, seed, rtl=rtl)
    return found


def test_values_are_those_of_the_integer_graph():
    found = [
        agree(replace(ENGINE, cols=cols), range(10 * cols, 10 * cols + 5), rtl=False)
        for cols in range(4, 17)
    ]
    assert np.all(np.sum(found, axis=0) > 40)


@pytest.mark.parametrize(
    "engine",
    [name if name == "4x5" else pytest.param(name, marks=pytest.mark.slow) for name in RTL],
)
def test_rtl_takes_the_same_cycles(engine):
    assert agree(RTL[engine], range(12), rtl=True)[1] > 10


@pytest.mark.exhaustive
@pytest.mark.parametrize("engine", RTL)
def test_networks_take_the_same_cycles_in_rtl(engine):
    def network(rng, config):
        return random_network(rng, config, (9, 7))

    assert agree(RTL[engine], range(8), network, rtl=True)[1] > 10


def depthwise(channels=32, size=(32, 32)):
    """Return a graph of one depthwise layer of 3 x 3."""
    rng = np.random.default_rng(0)
    kind = TensorType((channels, *size), 8, False, 1.0, 0)
    weight = rng.integers(-128, 128, (channels, 1, 3, 3))
    scale = Requantize((1,) * channels, (4,) * channels, 0, 0, 255)
    layer = ir.Conv2d(
        "layer", "x", "y", weight, 8, np.zeros(channels, np.int64), (1, 1), (1,) * 4, (1, 1),
        channels, scale,
    )  # fmt: skip
    ops = ir.Input("i", "x"), layer, ir.Output("o", "y")
    return ir.Graph("depthwise", {"x": kind, "y": kind}, ops)


def test_depthwise_layers_are_as_fast_as_their_multipliers():
    """A pass of 9 steps took the 16 cycles in which its 16 pixels leave."""
    config = EngineConfig(rows=8, cols=16, requantizers=16, act_depth=2048)
    program = compile_graph(depthwise(), Target(engine=config))
    commands = [c for c in program.commands(Unit.COMPUTE) if isinstance(c, Compute)]
    both, alone = (
        sum(compute_timing(config, replace(c, pair=pair)).free for c in commands) for pair in (1, 0)
    )
    assert all(c.pair for c in commands)
    passes = 4 * 32 * 2  # channel groups, rows, words of a row
    # Each but the last of a command waited for the one before.
    assert alone - both == (16 - 9) * (passes - len(commands))


def paired(**fields):
    """Return the rules' word on a command with pairs of results."""
    config = replace(ENGINE, cols=7)
    command = Compute(
        segment_log2=0, segment=1, last_segment=1, n_kg=1, n_oy=2, n_ox=2, n_cg=1, n_r=1, n_s=1,
        stride_x=1, weight_base=0, act_base=0, act_row=0, act_ring=16, kg_step=0, cg_step=0,
        oy_step=2, r_step=0, y0=0, oy_dy=1, r_dy=0, in_h=2, x0=0, x0_word=0, x0_lane=0, s_dx=0,
        s_word=0, s_lane=0, in_w=11, pad=0, zero_point=0, qmin=0, qmax=9, out_w=11, out_row_step=11,
        pair=1,
    )  # fmt: skip
    return check_command(config, replace(command, **fields))


SHARED = {
    "n_ox": 4, "accesses": 3, "last_pixels": 1, "row_dx": 11, "row_word": 1, "row_lane": 4,
}  # fmt: skip


@pytest.mark.parametrize("fields", [{}, SHARED, {**SHARED, "to_act": 1, "to_out": 0}])
def test_results_that_lie_apart_may_leave_in_pairs(fields):
    paired(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"dst_step": 2},
        {**SHARED, "out_row_step": 12},
        {  # the tenth result of a row and the first of the next are in lanes 2 and 0, 1 and 0
            **SHARED, "to_act": 1, "out_w": 9, "in_w": 9, "n_ox": 3, "last_pixels": 4, "row_dx": 9,
            "row_lane": 2, "out_row_step": 9,
        },
    ],
)  # fmt: skip
def test_other_results_may_not(fields):
    with pytest.raises(RuleError, match="apart"):
        paired(**fields)
    paired(**fields, pair=0)


def main(seeds: str = "0:200", rtl: bool = False) -> None:
    """Compare a range of seeds on all engines."""
    first, end = map(int, seeds.split(":"))
    for name, config in RTL.items():
        print(name, agree(config, range(first, end), rtl=rtl), "commands without and with pairs")


if __name__ == "__main__":
    typer.run(main)
