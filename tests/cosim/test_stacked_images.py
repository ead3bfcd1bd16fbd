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
from tests.cosim.invalid import TIMING, convolution, network
from tests.cosim.random_layers import random_layer, random_requantize, random_type
from tests.cosim.random_networks import random_network
from tests.strategies.agree import compiled, hold
from tilewright.api.compile_graph import compile_graph
from tilewright.api.estimate import estimate
from tilewright.compiler import ir
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import Compute, EngineConfig, Unit
from tilewright.isa.registers import Status
from tilewright.sim.errors import ExecutionError
from tilewright.sim.rtl import RtlEngine
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


def narrow_layer(rng, config):
    """Return a convolution of 2 or 3 columns and a few rows, seldom those of its input, and inputs.

    So a word has several images, and where one ends, the next begins elsewhere than a row further.
    """
    kernel, stride = rng.integers(1, 4, 2), np.array([rng.integers(1, 4), rng.choice([1, 1, 3])])
    dilation, padding = rng.integers(1, 3, 2), rng.integers(0, 3, 4)
    own = np.array([rng.integers(1, 4), 2 + (rng.random() < 0.3)])
    reach = (own - 1) * stride + (kernel - 1) * dilation + 1
    size = np.maximum(1, reach + rng.integers(0, stride) - padding[[0, 2]] - padding[[1, 3]])
    own = (size + padding[[0, 2]] + padding[[1, 3]] - (kernel - 1) * dilation - 1) // stride + 1
    channels, kernels = (int(n) for n in rng.integers(2 * config.rows, 6 * config.rows, 2))
    values = {"x": random_type(rng, (channels, *(int(n) for n in size)))}
    values["y"] = random_type(rng, (kernels, *(int(n) for n in own)))
    layer = ir.Conv2d(
        "conv", "x", "y", rng.integers(-128, 128, (kernels, channels, *kernel)), 8,
        rng.integers(-99, 99, kernels), tuple(map(int, stride)), tuple(map(int, padding)),
        tuple(map(int, dilation)), 1,
        random_requantize(rng, values["y"], config.multiplier_width, config.rounding),
    )  # fmt: skip
    x = values["x"]
    graph = ir.Graph("narrow", values, (ir.Input("in", "x"), layer, ir.Output("out", "y")))
    return graph, [rng.integers(x.qmin, x.qmax + 1, (1, *x.shape))]


def program_of(seed, config, make=None):
    """Return a program of 2 to 5 images and inputs of a few more or less; None if none fits."""
    rng = np.random.default_rng(seed)
    make = make or (small_layer, small_network, narrow_layer)[seed % 3]
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
        config = replace(ENGINE, cols=2 + seed // 3 % 15, requantizers=(None, 2, 1)[seed % 3])
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
        ("4x6", 18),
        *(pytest.param(name, 24, marks=pytest.mark.exhaustive) for name in RTL),
    ],
)
def test_rtl_takes_the_same_cycles(engine, count):
    assert agree(RTL[engine], range(count), rtl=True)["sum", "shared"] > 3


def test_no_batch_takes_longer(monkeypatch):
    """What a command has to wait for is more than an estimate knows: some took 40 % longer."""
    monkeypatch.setattr("tests.strategies.agree.OBJECTIVES", ("time",))
    fewer = 0
    for seed in (2, 10, 17, 21, 28, 29, 35, 44, 48, 82, 106, 116):
        programs = (
            program_of(seed, replace(RTL["4x8"], stacked_images=stacked))
            for stacked in (False, True)
        )
        before, after = (estimate(case[0]).cycles.value for case in programs)
        assert after <= 1.004 * before, seed  # which order of loads is taken is looked at last
        fewer += after < before
    assert fewer


@pytest.mark.slow
def test_rtl_refuses_what_it_cannot_do():
    config, rng = RTL["4x6"], np.random.default_rng(0)
    kinds = dict.fromkeys("xyz", ir.TensorType((4, 3, 3), 8, True, 1.0, 0))
    ops = [convolution(rng, *name, 3) for name in ("xy", "yz")]
    graph = ir.Graph("g", kinds, (ir.Input("i", "x"), *ops, ir.Output("o", "z")))
    program = network(config, graph, rng, batch=4)
    commands = program.streams.commands[Unit.COMPUTE]
    index = next(i for i, c in enumerate(commands) if c.stacked)
    with RtlEngine(config).session() as session:
        memory, run = program.rtl(session, TIMING)
        assert run.status is Status.DONE
        np.testing.assert_array_equal(memory, program.expected)
        for fields in ({"transform": 1}, {"partial": 1}, {"wide_out": 1}, {"qmin_high": 1}):
            bad = program.changed(Unit.COMPUTE, index, **fields)
            with pytest.raises(ExecutionError) as caught:
                bad.isa(TIMING)
            assert caught.value.status is Status.BAD_COMMAND
            _, run = bad.rtl(session, TIMING)
            assert run.status is Status.BAD_COMMAND, fields


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
