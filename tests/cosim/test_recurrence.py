"""Slices that depend on the slice before: golden == isa, and == rtl for some; and what is refused.

python -m tests.cosim.test_recurrence --seeds 0:200 [--rtl]
"""

from itertools import pairwise

import numpy as np
import pytest
import typer
from rich.progress import track

from tests.cosim.random_recurrences import random_case, recurrent, small_engine
from tests.strategies.agree import compare
from tilewright.api.compile_graph import compile_graph
from tilewright.api.verify import verify
from tilewright.compiler import ir
from tilewright.compiler.ir.arithmetic import requantize
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import EngineConfig
from tilewright.target import Target

CASES, RTL_CASES = 16, 2


def by_hand(op, x, x_type, y_type):
    """Return a recurrence, element by element."""
    factors = op.requantize_input
    y = np.array(requantize(x - x_type.zero_point, factors))
    count = x.shape[2 if op.columns else 1]
    places = range(count)[:: -1 if op.backwards else 1]
    taps = op.weight.shape[3]
    for before, place in pairwise(places):
        last = np.take(y, before, 2 if op.columns else 1) - y_type.zero_point
        for channel in range(x.shape[0]):
            for at in range(last.shape[1]):
                total = int(op.bias[channel])
                for tap in range(taps):
                    if 0 <= at + tap - taps // 2 < last.shape[1]:
                        column = last[:, at + tap - taps // 2]
                        total += int(op.weight[channel, :, 0, tap] @ column)
                r = op.requantize
                scaled = round(total * r.multiplier[channel] / 2 ** r.shift[channel])
                message = min(max(scaled + r.zero_point, r.qmin), r.qmax)
                where = (channel, at, place) if op.columns else (channel, place, at)
                new = int(y[where]) + message - y_type.zero_point
                y[where] = min(max(new, factors.qmin), factors.qmax)
    return y


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_golden_is_the_definition(columns, backwards):
    rng = np.random.default_rng([7, columns, backwards])
    config = EngineConfig(multiplier_width=12)
    graph, (x,) = recurrent(
        rng, config, (3, 4, 5), columns=columns, backwards=backwards, tail=False
    )
    (op,) = graph.layers
    wanted = by_hand(op, x[0], graph.values["x"], graph.values["y"])
    assert len(np.unique(wanted)) > 2
    np.testing.assert_array_equal(ir.run(graph, [x[0]])["y"], wanted)
    assert ir.parse_graph(ir.print_graph(graph)) == graph


def agrees(seed, *, rtl=False):
    """Compare a case; return whether the engine runs it."""
    program, inputs = random_case(seed, small_engine() if rtl else None)
    if inputs is None:
        assert isinstance(program, EngineLimitError), program
        return False
    if rtl:
        verify(program, inputs)
    else:
        assert not compare(program, inputs).wrong, f"seed {seed}"
    return True


def test_random_recurrences_agree():
    assert sum(map(agrees, range(CASES))) > CASES // 2


@pytest.mark.exhaustive
def test_many_random_recurrences_agree():
    assert sum(map(agrees, range(CASES, 200 + CASES))) > 100


@pytest.mark.slow
def test_rtl_agrees():
    assert sum(agrees(seed, rtl=True) for seed in range(RTL_CASES)) == RTL_CASES


def test_columns_need_pixels_of_whole_beats():
    config = EngineConfig(rows=4, cols=3, bus_width=64)
    rng = np.random.default_rng(0)
    graph, _ = recurrent(rng, config, (3, 4, 5), columns=True, backwards=False, tail=False)
    with pytest.raises(EngineLimitError, match=r"slices: .*rows a multiple of 8"):
        compile_graph(graph, Target(engine=config))


def main(seeds: str = "0:200", rtl: bool = False) -> None:
    """Compare many cases."""
    first, end = map(int, seeds.split(":"))
    run = sum(agrees(seed, rtl=rtl) for seed in track(range(first, end)))
    print(f"{run} of {end - first} run, and agree")


if __name__ == "__main__":
    typer.run(main)
