"""Kernel groups of few channels, whose rows sum parts of the input channels: golden == isa == rtl.

python -m tests.cosim.test_folds --seeds 0:1000 [--rtl]
"""

from dataclasses import replace

import numpy as np
import pytest
import typer
from rich.progress import track

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_requantize, random_type
from tests.strategies.agree import compare
from tilewright.api.compile_graph import compile_graph
from tilewright.api.simulate import simulate
from tilewright.api.verify import verify
from tilewright.compiler import ir
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import Unit
from tilewright.target import Target

#: Engines that can fold: some share requantizers, words or weights' bytes.
FOLDING = {
    "2x2": replace(ENGINES["2x2-bus32"], folds=1),
    "4x4": replace(ENGINES["4x4-bus64"], folds=1),
    "8x7": replace(ENGINES["8x7-bus64"], folds=3),
    "8x7-shared": replace(ENGINES["8x7-bus64"], folds=2, shared_words=True),
    "8x7-tables": replace(ENGINES["8x7-bus32"], folds=1),
    "8x5-w4": replace(ENGINES["8x5-bus64-w4"], folds=2, early_parameters=False),
}


def network(rng, config, channels, kernels, size, kernel, stride=1):
    """Return a graph of two convolutions and a fully connected layer, and inputs."""
    most = 1 << (config.weight_bits - 1)
    x = random_type(rng, (channels, *size))
    values, ops = {"x": x}, [ir.Input("input", "x")]
    for name, source, outputs in (("layer", "x", kernels), ("next", "layer", 3)):
        inputs = values[source].shape
        height, width = (
            (n + 2 * (k // 2) - k) // stride + 1 for n, k in zip(inputs[1:], kernel, strict=True)
        )
        values[name] = random_type(rng, (outputs, height, width))
        ops.append(
            ir.Conv2d(
                name, source, name, rng.integers(-most, most, (outputs, inputs[0], *kernel)),
                config.weight_bits, rng.integers(-99, 99, outputs), (stride, stride),
                (kernel[0] // 2,) * 2 + (kernel[1] // 2,) * 2, (1, 1), 1,
                random_requantize(rng, values[name], config.multiplier_width),
            )
        )  # fmt: skip
    values["y"] = random_type(rng, (int(rng.integers(1, 6)), 1, 1))
    weight = rng.integers(-most, most, (values["y"].shape[0], values["next"].numel))
    scale = random_requantize(rng, values["y"], config.multiplier_width)
    bias = rng.integers(-99, 99, len(weight))
    ops.append(ir.Linear("fc", "next", "y", weight, config.weight_bits, bias, scale))
    ops += [ir.Output("output", "layer"), ir.Output("last", "y")]
    return ir.Graph("folds", values, tuple(ops)), [rng.integers(x.qmin, x.qmax + 1, (1, *x.shape))]


def random_case(seed):
    """Return a program of a random network, and inputs; None: the engine has no room."""
    rng = np.random.default_rng(seed)
    config = FOLDING[str(rng.choice(list(FOLDING)))]
    config = replace(
        config,
        act_depth=int(rng.choice([32, 96, 512])),
        weight_depth=1 << int(rng.integers(6, 11)),
        out_depth=1 << int(rng.integers(4, 9)),
    )
    kernel = tuple(int(n) for n in rng.choice([1, 3, 5], 2))
    channels, kernels = (int(n) for n in rng.integers(1, 3 * config.rows, 2))
    size = tuple(int(n) for n in rng.integers(5, 14, 2))
    graph, inputs = network(rng, config, channels, kernels, size, kernel, int(rng.integers(1, 3)))
    try:
        return compile_graph(graph, Target(engine=config)), inputs
    except EngineLimitError:
        return None


def folds(program):
    """Return how often the sums of each compute command are folded."""
    return [c.fold for c in program.commands(Unit.COMPUTE) if hasattr(c, "fold")]


@pytest.mark.parametrize("seed", range(24))
def test_random_layers_of_few_channels(seed):
    case = random_case(seed)
    if case is not None:
        assert not compare(*case).wrong, seed


@pytest.mark.parametrize("name", FOLDING)
def test_folded_sums_in_hardware(name):
    config = FOLDING[name]
    rng = np.random.default_rng(len(name))
    kernels = config.rows + max(1, config.rows // 4)
    graph, inputs = network(rng, config, 2 * config.rows + 1, kernels, (7, 9), (3, 3))
    program = compile_graph(graph, Target(engine=config))
    assert config.rows == 2 or max(folds(program)) > 0
    verify(program, inputs)


@pytest.mark.parametrize(("kernels", "fold"), [(8, 0), (4, 1), (2, 2), (1, 3)])
def test_rows_beside_few_channels_are_busy(kernels, fold):
    """One channel took as long as all rows have; its input channels are shared out now."""
    config = FOLDING["8x7"]
    cycles = {}
    for engine in (config, replace(config, folds=0)):
        graph, inputs = network(np.random.default_rng(0), engine, 32, kernels, (14, 14), (3, 3))
        program = compile_graph(graph, Target(engine=engine))
        result = simulate(program, inputs)
        assert max(folds(program)[:1]) == min(fold, engine.folds)
        cycles[engine.folds] = next(r.cycles for r in result.layers if r.name == "layer")
    assert cycles[3] < 1.1 * cycles[0] / 2**fold + 32 * 14 * 14 / 8  # which loads its input


def main(seeds: str = "0:1000", rtl: bool = False) -> None:
    """Compare a range of seeds."""
    first, end = map(int, seeds.split(":"))
    refused, used, bad = 0, 0, []
    for seed in track(range(first, end), "folded layers"):
        case = random_case(seed)
        if case is None:
            refused += 1
            continue
        used += any(folds(case[0]))
        if compare(*case).wrong:
            bad.append(seed)
        elif rtl:
            verify(*case)
    print(f"{end - first} cases, {refused} too large, {used} folded, {len(bad)} wrong: {bad}")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    typer.run(main)
