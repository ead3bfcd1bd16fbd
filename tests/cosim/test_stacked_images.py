"""golden == isa == rtl where rows of several images share words: every element and every cycle.

python -m tests.cosim.test_stacked_images --seeds 0:1000 [--rtl]
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import typer
from rich.progress import track

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_layer
from tests.cosim.random_networks import random_network
from tests.strategies.agree import compiled, hold
from tilewright.api.compile_graph import compile_graph
from tilewright.api.estimate import estimate
from tilewright.compiler import ir
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import Compute, EngineConfig, Unit
from tilewright.target import Target

ENGINE = replace(ENGINES["4x4-bus64"], shared_words=True, stacked_images=True)
#: With two words of results a cycle and folds, a sampler, maps of 16 bits, commands in place.
RTL = {
    "4x6": replace(ENGINE, cols=6, requantizers=None),
    "2x9": replace(ENGINE, rows=2, cols=9, requantizers=1, tables=1, prefetch=False),
    "4x8": replace(ENGINE, cols=8, requantizers=8, folds=1, double_reads=True),
    "4x5": replace(ENGINE, cols=5, offset_depth=64, acc_width=24),
    "4x4": replace(ENGINE, wide_maps=True),
}


def small_network(rng, config):
    """Return a network of maps of a few pixels, and inputs."""
    return random_network(rng, config, tuple(int(n) for n in rng.integers(2, 8, 2)))


def small_layer(rng, config):
    """Return a layer of few columns, and inputs."""
    return random_layer(rng, config, most=9)


def program_of(seed, config, make=None):
    """Return a program of 2 to 5 images and inputs of a few more or less; None if none fits."""
    rng = np.random.default_rng(seed)
    make = make or (small_network if seed % 2 else small_layer)
    graph, inputs = make(rng, config)
    batch = int(rng.integers(2, 6))
    kinds = [graph.values[op.output] for op in graph.inputs]
    count = batch + int(rng.integers(-1, 2))
    images = [rng.integers(k.qmin, k.qmax + 1, (count, *k.shape)) for k in kinds]
    try:
        return compiled(rng, config, graph, inputs, batch), images
    except (EngineLimitError, ir.VerifyError):
        return None


def edges(program):
    """Return the commands of a program whose rows are those of several images, by their kind."""
    commands = [c for c in program.commands(Unit.COMPUTE) if isinstance(c, Compute) and c.stacked]
    return Counter(
        ("maximum" if c.maximum else "sum", "shared" if c.accesses else "own") for c in commands
    )


def agree(config, seeds, make=None, *, rtl):
    """Compare executors on what seeds make; return what commands of several images they had."""
    found = Counter()
    for seed in seeds:
        case = program_of(seed, config, make)
        if case is not None:
            found += edges(case[0])
            hold(*case, seed, rtl=rtl)
    return found


def of_engines(seeds):
    """Compare executors on engines of 2 to 16 columns; return the commands that they had."""
    found = Counter()
    for seed in seeds:
        config = replace(ENGINE, cols=2 + seed // 2 % 15, requantizers=(None, 2, 1)[seed % 3])
        found += agree(config, [seed], rtl=False)
    return found


def test_values_are_those_of_the_integer_graph():
    found = of_engines(range(48))
    assert found["sum", "shared"] > 50
    assert found["sum", "own"] > 5
    assert found["maximum", "shared"] + found["maximum", "own"] > 0


@pytest.mark.parametrize(
    ("engine", "count"),
    [
        ("4x6", 6),
        *(pytest.param(name, 24, marks=pytest.mark.exhaustive) for name in RTL),
    ],
)
def test_rtl_takes_the_same_cycles(engine, count):
    assert agree(RTL[engine], range(count), rtl=True)["sum", "shared"] > 3


def test_maps_of_a_few_pixels_take_fewer_cycles():
    """Four images of 7 x 7 pixels take 13 words of 16 pixels, one takes 4."""
    config = EngineConfig(
        rows=4, cols=16, act_depth=2048, out_depth=512, shared_words=True, stacked_images=True
    )
    kind = ir.TensorType((16, 7, 7), 8, True, 1.0, 0)
    scale = ir.Requantize((1,) * 16, (9,) * 16, 0, -128, 127)
    layers = [
        ir.Conv2d(
            f"layer{n}", f"v{n}", f"v{n + 1}", np.ones((16, 16, 3, 3), np.int64), 8,
            np.zeros(16, np.int64), (1, 1), (1, 1, 1, 1), (1, 1), 1, scale,
        )
        for n in range(4)
    ]  # fmt: skip
    graph = ir.Graph(
        "net",
        {f"v{n}": kind for n in range(5)},
        (ir.Input("input", "v0"), *layers, ir.Output("output", "v4")),
    )
    cycles = []
    for engine in (config, replace(config, stacked_images=False)):
        program = compile_graph(graph, Target(engine=engine), batch=4)
        cycles.append(estimate(program).cycles.value)
        assert bool(edges(program)) is engine.stacked_images
        assert ("images at once" in str(program.schedule[0])) is engine.stacked_images
    assert cycles[0] < 0.88 * cycles[1]


def main(seeds: str = "0:1000", rtl: bool = False) -> None:
    """Compare a range of seeds on engines of 2 to 16 columns, or on all of ``RTL``."""
    first, end = map(int, seeds.split(":"))
    if not rtl:
        print(dict(of_engines(track(range(first, end), "images"))))
        return
    for name, config in RTL.items():
        print(name, dict(agree(config, range(first, end), rtl=True)))


if __name__ == "__main__":
    typer.run(main)
