"""Columns in halves, of which the upper one sums other channels: golden == isa == rtl.

python -m tests.cosim.test_halves --seeds 0:1000 [--rtl]
"""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import typer

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_layer
from tests.cosim.random_networks import random_network
from tests.cosim.test_folds import network
from tests.cosim.test_stacked_images import program_of
from tests.strategies.agree import compare, hold
from tilewright.api.compile import compile_graph
from tilewright.compiler.schedule import EngineLimitError
from tilewright.compiler.schedule.lowering import halves
from tilewright.isa import Compute, EngineConfig, Unit
from tilewright.isa.passes import PassShape
from tilewright.isa.rules import RuleError, check_command
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

ENGINE = replace(ENGINES["4x4-bus64"], split_columns=True)
#: Halves of an odd and of an even number of columns, with one beside them and without.
RTL = {
    "4x4": ENGINE,
    "4x7-shared": replace(ENGINE, cols=7, shared_words=True, tables=1),
    "4x6-pairs": replace(ENGINE, cols=6, requantizers=8, shared_words=True),
    "4x16": replace(ENGINE, cols=16, requantizers=8, shared_words=True, double_reads=True, folds=2),
    "8x5-w4": replace(ENGINES["8x5-bus64-w4"], split_columns=True, early_parameters=False),
    "4x6-images": replace(ENGINE, cols=6, requantizers=8, shared_words=True, stacked_images=True),
    "4x8-two": replace(ENGINE, cols=8, requantizers=2, offset_depth=64, acc_width=24),
}


def wherever(config, op, section):
    """Return a section with its columns split, if that can be, however long it takes."""
    return section if section.fold else replace(section, split=True)


def random_case(seed, config, make=None):
    """Return a program of a random network, and inputs; None: the engine has no room.

    Of most networks all layers that can be are split; of the others those that are faster so.
    """
    rng = np.random.default_rng(seed)
    chosen = wherever if rng.random() < 0.8 else halves._faster
    if config.stacked_images:
        with patch.object(halves, "_faster", chosen):
            return program_of(seed, config, make)
    latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
    if make is None:
        kernel = tuple(int(n) for n in rng.choice([1, 2, 3, 5], 2))
        channels, kernels = (int(n) for n in rng.integers(config.rows // 2, 4 * config.rows, 2))
        size = tuple(int(n) for n in rng.integers(2, 20, 2))
        stride = int(rng.choice([1, 1, 2, 3, 4]))
        graph, inputs = network(rng, config, channels, kernels, size, kernel, stride)
    else:
        graph, inputs = make(rng, config)
    try:
        with patch.object(halves, "_faster", chosen):
            return compile_graph(graph, Target(engine=config, memory=latency)), inputs
    except EngineLimitError:
        return None


def split(program):
    """Return the compute commands without and with columns in halves: how many of each."""
    commands = [c.split for c in program.commands(Unit.COMPUTE) if isinstance(c, Compute)]
    return np.array([commands.count(0), commands.count(1)])


def agree(config, seeds, make=None, *, rtl):
    """Compare executors on what seeds make; return the commands without and with halves."""
    found = np.zeros(2, int)
    for seed in seeds:
        case = random_case(seed, config, make)
        if case is not None:
            found += split(case[0])
            hold(*case, seed, rtl=rtl)
    return found


def test_values_are_those_of_the_integer_graph():
    kinds = (
        ENGINE, replace(ENGINE, shared_words=True),
        replace(ENGINE, shared_words=True, requantizers=8, folds=1), RTL["8x5-w4"],
    )  # fmt: skip
    found = [
        agree(replace(kinds[cols % 4], cols=cols), range(10 * cols, 10 * cols + 4), rtl=False)
        for cols in range(4, 17)
    ]
    assert np.all(np.sum(found, axis=0) > 40)


@pytest.mark.parametrize(
    "engine",
    [name if name == "4x7-shared" else pytest.param(name, marks=pytest.mark.slow) for name in RTL],
)
def test_rtl_takes_the_same_cycles(engine):
    assert agree(RTL[engine], range(6), rtl=True)[1] > 5


@pytest.mark.exhaustive
@pytest.mark.parametrize("engine", RTL)
def test_layers_and_networks_take_the_same_cycles_in_rtl(engine):
    def small_network(rng, config):
        return random_network(rng, config, (9, 7))

    makers = random_layer, small_network
    found = [agree(RTL[engine], range(20), make, rtl=True) for make in makers]
    assert np.sum(found, axis=0)[1] > 5


@pytest.mark.parametrize(("cols", "size", "steps"), [(16, 1, 32), (7, 3, 3 * 32), (5, 3, 2 * 64)])
def test_maps_of_few_pixels_take_fewer_steps(cols, size, steps):
    """One pixel took 64 steps, as 16 do; nine took two words of 7. With 5 they are not fewer."""
    config = EngineConfig(rows=8, cols=cols, shared_words=True, split_columns=True, act_depth=2048)
    graph, inputs = network(np.random.default_rng(0), config, 64, 64, (size, size), (1, 1))
    program = compile_graph(graph, Target(engine=config))
    (command,) = (c for c in program.commands(Unit.COMPUTE) if c.layer == 1)  # all on chip
    assert command.passes * PassShape.of(config, command).steps == steps
    assert command.split == (cols != 5)
    assert not compare(program, inputs).wrong


PLAIN = Compute(
    segment_log2=2, segment=2, last_segment=2, n_kg=1, n_oy=2, n_ox=4, n_cg=1, n_r=1, n_s=1,
    stride_x=1, weight_base=0, act_base=0, act_row=0, act_ring=16, kg_step=0, cg_step=0,
    oy_step=2, r_step=0, y0=0, oy_dy=1, r_dy=0, in_h=2, x0=0, x0_word=0, x0_lane=0, s_dx=0,
    s_word=0, s_lane=0, in_w=11, pad=0, zero_point=0, qmin=0, qmax=9, out_w=11, out_row_step=11,
    split=1,
)  # fmt: skip


def halved(**fields):
    """Return the rules' word on a command whose columns are split."""
    config = fields.pop("config", replace(ENGINE, cols=7, shared_words=True))
    check_command(config, replace(PLAIN, **fields))


SHARED = {
    "n_ox": 8, "accesses": 2, "last_pixels": 1, "row_dx": 11, "row_word": 1, "row_lane": 4,
}  # fmt: skip


@pytest.mark.parametrize("fields", [{}, SHARED, {**SHARED, "to_act": 1}])
def test_plain_sums_may_have_halves(fields):
    halved(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"segment": 3}, "rows / 2 steps"),
        ({"last_segment": 3}, "rows / 2 steps"),
        ({"segment_log2": 1}, "rows / 2 steps"),
        ({"maximum": 1}, "rows / 2 steps"),
        ({"resume": 1}, "rows / 2 steps"),
        ({"out_w": 13}, "ends in the last output word"),
        ({**SHARED, "n_ox": 4}, "as many words"),
        ({**SHARED, "last_pixels": 4}, "last pixels"),
        ({"config": replace(ENGINE, split_columns=False, folds=1)}, "split_columns"),
    ],
)
def test_other_commands_may_not(fields, message):
    with pytest.raises(RuleError, match=message):
        halved(**fields)


def main(seeds: str = "0:200", rtl: bool = False) -> None:
    """Compare a range of seeds on all engines."""
    first, end = map(int, seeds.split(":"))
    for name, config in RTL.items():
        for make in (None, random_layer):
            found = agree(config, range(first, end), make, rtl=rtl)
            print(name, found, "commands without and with halves", flush=True)


if __name__ == "__main__":
    typer.run(main)
