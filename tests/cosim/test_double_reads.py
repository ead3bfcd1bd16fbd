"""golden == isa == rtl where two words of a lane are read at once: every element and every cycle.

python -m tests.cosim.test_double_reads --seeds 0:200 [--rtl]
"""

from dataclasses import replace

import numpy as np
import pytest
import typer

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_requantize, random_type
from tests.cosim.random_networks import random_network
from tests.strategies.agree import hold
from tilewright.api.compile import compile_graph
from tilewright.compiler import ir
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import Compute, EngineConfig, Unit
from tilewright.isa.passes import window_parts
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

ENGINE = replace(ENGINES["4x4-bus64"], double_reads=True, shared_words=True)
#: Rows that share words, a sampler that reads halves too, lanes of an odd number of words.
RTL = {
    "4x6": replace(ENGINE, cols=6),
    "2x16": replace(ENGINE, rows=2, cols=16, requantizers=4, tables=1),
    "4x8": replace(ENGINE, cols=8, offset_depth=64, acc_width=24),
    "2x12": replace(ENGINE, rows=2, cols=12, act_depth=49, shared_words=False),
}


def strided(rng, config):
    """Return a graph of two convolutions, the first of a stride of 2 or 6, and inputs."""
    channels, most = int(rng.integers(1, 3 * config.rows)), 1 << (config.weight_bits - 1)
    stride = int(rng.choice([2, 2, 2, 6]))
    size = int(rng.integers(4, 20)), int(rng.integers(4, 20)) + 6 * stride
    values, ops = {"x": random_type(rng, (channels, *size))}, [ir.Input("input", "x")]
    for source, name, step in (("x", "layer", stride), ("layer", "next", 2)):
        inputs = values[source].shape
        kernel = tuple(int(n) for n in rng.integers(1, 4, 2))
        groups = int(rng.choice([1, inputs[0]]))
        outputs = groups if groups > 1 else int(rng.integers(1, 2 * config.rows))
        height, width = (
            (n + 2 * (k // 2) - k) // step + 1 for n, k in zip(inputs[1:], kernel, strict=True)
        )
        values[name] = random_type(rng, (outputs, height, width))
        weight = rng.integers(-most, most, (outputs, inputs[0] // groups, *kernel))
        scale = random_requantize(rng, values[name], config.multiplier_width)
        padding = (kernel[0] // 2,) * 2 + (kernel[1] // 2,) * 2
        ops.append(
            ir.Conv2d(
                name, source, name, weight, config.weight_bits, rng.integers(-99, 99, outputs),
                (step, step), padding, (1, 1), groups, scale,
            )
        )  # fmt: skip
    ops.append(ir.Output("output", "next"))
    x = values["x"]
    return ir.Graph("strided", values, tuple(ops)), [
        rng.integers(x.qmin, x.qmax + 1, (1, *x.shape))
    ]


def agree(config, seeds, make=strided, *, rtl):
    """Compare executors on what seeds make; return the commands that read two words at once."""
    found = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
        graph, inputs = make(rng, config)
        try:
            program = compile_graph(graph, Target(engine=config, memory=latency))
        except EngineLimitError:
            continue
        strides = [c.stride_x for c in program.commands(Unit.COMPUTE) if isinstance(c, Compute)]
        plain = replace(config, double_reads=False)
        found += sum(window_parts(config, s) < window_parts(plain, s) for s in strides)
        hold(program, inputs, seed, rtl=rtl)
    return found


@pytest.mark.parametrize(
    ("cols", "stride", "parts"),
    [(16, 2, 1), (16, 4, 4), (16, 6, 1), (14, 4, 2), (14, 2, 1), (7, 2, 1), (9, 6, 3), (2, 2, 1)],
)
def test_pixels_of_a_lane_in_an_even_and_an_odd_word_are_read_at_once(cols, stride, parts):
    assert window_parts(EngineConfig(cols=cols, double_reads=True), stride) == parts
    words, lanes = np.divmod(np.arange(cols) * stride, cols)
    halves = {*zip(lanes, words % 2, strict=True)}
    assert (parts == 1) == (len(halves) == cols)


def test_values_are_those_of_the_integer_graph():
    found = [
        agree(replace(ENGINE, cols=cols), range(10 * cols, 10 * cols + 6), rtl=False)
        for cols in (2, 4, 6, 7, 10, 14, 16)
    ]
    assert sum(found) > 100


@pytest.mark.parametrize(
    "engine",
    [name if name == "4x6" else pytest.param(name, marks=pytest.mark.slow) for name in RTL],
)
def test_rtl_takes_the_same_cycles(engine):
    assert agree(RTL[engine], range(16), rtl=True) > 20


@pytest.mark.exhaustive
@pytest.mark.parametrize("engine", RTL)
def test_networks_take_the_same_cycles_in_rtl(engine):
    def network(rng, config):
        return random_network(rng, config, (9, 7))

    agree(RTL[engine], range(8), network, rtl=True)


def main(seeds: str = "0:200", rtl: bool = False) -> None:
    """Compare a range of seeds on all engines."""
    first, end = map(int, seeds.split(":"))
    for name, config in RTL.items():
        print(name, agree(config, range(first, end), rtl=rtl), "commands read two words at once")


if __name__ == "__main__":
    typer.run(main)
