"""Products of two maps, whose weights are pixels: golden == isa == rtl, elements and cycles.

    python -m tests.cosim.test_product --seeds 0:200

runs random networks of products on the engines of this module, RTL too.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import typer
from rich.progress import track

from tests.strategies.agree import verified
from tilewright.api.compile import compile_graph
from tilewright.api.simulate import simulate
from tilewright.api.verify import compare_outputs
from tilewright.compiler.ir import Graph, Input, Output, Product, Requantize, TensorType
from tilewright.errors import UnsupportedError
from tilewright.isa import EngineConfig, Unit
from tilewright.isa.passes import command_parts, kernel_group_cycles, kernel_group_lead
from tilewright.target import Target

SMALL = {"act_depth": 1024, "weight_depth": 1024, "out_depth": 128, "bus_width": 32}
ENGINES = {
    "2x2": EngineConfig(rows=2, cols=2, queue_depth=8, prefetch=False, dsp="ecp5", **SMALL),
    "4x3": EngineConfig(rows=4, cols=3, requantizers=2, early_parameters=False, **SMALL),
    "2x5-tiles": EngineConfig(
        rows=2, cols=5, partial_depth=64, data_width=12, kernel_width=12, tables=1,
        offset_depth=512, **SMALL,
    ),
}  # fmt: skip
SIGNS = tuple(product((True, False), repeat=2))


def grid(shape, signed, zero_point):
    return TensorType(shape, 8, signed, 1.0, zero_point)


def product_of(a, b):
    """Return a graph of the product of inputs of two types."""
    shape = max(a.shape, b.shape)
    kind = grid(shape, True, 5)
    scale = Requantize((3,) * shape[0], (9,) * shape[0], 5, -128, 127)
    ops = (Input("a", "a"), Input("b", "b"), Product("p", "a", "b", "y", scale), Output("o", "y"))
    return Graph("product", {"a": a, "b": b, "y": kind}, ops)


def values(rng, kind, count=2):
    """Return random images; every corner of the range is among them."""
    x = rng.integers(kind.qmin, kind.qmax + 1, (count, *kind.shape))
    ends = rng.random(x.shape) < 0.2
    return np.where(ends, rng.choice([kind.qmin, kind.qmax, kind.zero_point], x.shape), x)


def expected(graph, a, b):
    left, right = (graph.values[v].zero_point for v in "ab")
    exact = (a - left) * (b - right) * 3
    low = exact >> 9
    rest = exact - (low << 9)
    rounded = low + ((rest > 256) | ((rest == 256) & (low % 2 == 1)))
    return np.clip(rounded + 5, -128, 127)


def check(rng, kinds):
    """Compare golden with plain arithmetic, and isa with golden."""
    graph = product_of(*kinds)
    inputs = [values(rng, kind) for kind in kinds]
    program = compile_graph(graph, Target(engine=ENGINES["4x3"]))
    golden, isa = (simulate(program, inputs, backend=backend) for backend in ("golden", "isa"))
    np.testing.assert_array_equal(golden.outputs[0], expected(graph, *inputs))
    compare_outputs(program, golden, isa)


@pytest.mark.parametrize("signs", SIGNS)
@pytest.mark.parametrize("zeros", [(0, 0), (0, 7), (7, 0), (-128, -128), (127, -128), (-3, 100)])
def test_zero_points_and_signs(signs, zeros):
    rng = np.random.default_rng(0)
    kinds = [
        grid((5, 3, 4), signed, zero + (0 if signed or not zero else 128))
        for signed, zero in zip(signs, zeros, strict=True)
    ]
    check(rng, kinds)


@pytest.mark.parametrize("zeros", [(0, 0), (3, -9)])
@pytest.mark.parametrize("first", [True, False])
def test_one_channel_multiplies_all(zeros, first):
    rng = np.random.default_rng(1)
    kinds = [grid((1 if first else 6, 3, 7), True, zeros[0]), grid((6, 3, 7), True, zeros[1])]
    kinds[1] = replace(kinds[1], shape=(6 if first else 1, 3, 7))
    check(rng, kinds)


@pytest.mark.parametrize(("zeros", "steps"), [((0, 9), 7), ((3, 9), 8)])
def test_a_pass_takes_a_cycle_for_each_column(zeros, steps):
    """With a step more where both maps have a zero point."""
    config = EngineConfig(rows=4, cols=7, **SMALL)
    graph = product_of(*(grid((4, 8, 28), True, zero) for zero in zeros))
    program = compile_graph(graph, Target(engine=config))
    for command in program.commands(Unit.COMPUTE):
        cycles = kernel_group_cycles(config, command, command_parts(config, command))
        cycles -= kernel_group_lead(config, 1)
        assert cycles == command.n_oy * command.n_ox * steps


@pytest.mark.parametrize("lacks", [{"products": False}, {"weight_bits": 4}])
def test_an_engine_without_products_says_so(lacks):
    graph = product_of(grid((3, 4, 4), True, 0), grid((3, 4, 4), True, 0))
    with pytest.raises(UnsupportedError, match="p: a product of two feature maps"):
        compile_graph(graph, Target(engine=replace(ENGINES["4x3"], **lacks)))


def test_a_program_for_an_engine_without_products_is_one_of_before():
    """Their digest is that of engines that could not say it."""
    engine = replace(ENGINES["4x3"], products=False)
    assert engine.digest != ENGINES["4x3"].digest
    four = replace(engine, weight_bits=4)
    assert four.digest == replace(four, products=True).digest


def compare_seed(name, seed):
    """Compare golden, isa and rtl on a random network; return whether the engine runs it."""
    return verified(np.random.default_rng(seed), ENGINES[name], Product)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_random_products_equal_rtl(name):
    for seed in range(6):
        try:
            compare_seed(name, seed)
        except Exception as error:
            raise AssertionError(f"{name}, seed {seed}") from error


def main(seeds: str = "0:200") -> None:
    """Compare a range of seeds on every engine."""
    first, end = map(int, seeds.split(":"))
    for name in ENGINES:
        run = sum(compare_seed(name, seed) for seed in track(range(first, end), name))
        print(f"{name}: {run} of {end - first} networks, all equal")


if __name__ == "__main__":
    typer.run(main)
