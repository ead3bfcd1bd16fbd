"""Sums whose weights another layer computes: golden == isa == rtl, elements and cycles.

    python -m tests.cosim.test_dynamic --seeds 0:200

runs random networks of each operator on the engines of this module, RTL too.
"""

from dataclasses import replace

import numpy as np
import pytest
import typer
from rich.progress import track

from tests.strategies.agree import verified
from tilewright.api.compile_graph import compile_graph
from tilewright.api.simulate import simulate
from tilewright.api.verify import compare_outputs
from tilewright.compiler.ir import (
    Concat,
    Conv2d,
    DynamicConv2d,
    Graph,
    Input,
    MatMul,
    Output,
    Requantize,
    SelectChannels,
    TensorType,
)
from tilewright.compiler.schedule import EngineLimitError
from tilewright.errors import UnsupportedError
from tilewright.isa import EngineConfig
from tilewright.target import Target

SMALL = {"act_depth": 1024, "weight_depth": 1024, "out_depth": 128, "bus_width": 32}
ENGINES = {
    "2x2": EngineConfig(rows=2, cols=2, queue_depth=8, prefetch=False, dsp="ecp5", **SMALL),
    "4x3": EngineConfig(rows=4, cols=3, requantizers=2, early_parameters=False, **SMALL),
    # Rows of more bytes than a beat: pixels of one byte and two.
    "8x3-bytes": EngineConfig(rows=8, cols=3, tables=1, **SMALL),
    # Beats of more than one pixel word.
    "2x3-beats": EngineConfig(rows=2, cols=3, **{**SMALL, "bus_width": 64}),
}
OPERATORS = (MatMul, DynamicConv2d)


def grid(*shape, signed=True):
    return TensorType(shape, 8, signed, 1.0, 0)


def scale(channels, shift=9):
    return Requantize((3,) * channels, (shift,) * channels, 0, -128, 127)


def one(op, a, b, shape):
    """Return the graph of an operator of inputs a and b."""
    values = {"a": a, "b": b, "y": grid(*shape)}
    graph = Graph("dynamic", values, (Input("a", "a"), Input("b", "b"), op, Output("o", "y")))
    graph.verify()
    return graph


def rounded(exact, shift=9):
    low = exact * 3 >> shift
    rest = exact * 3 - (low << shift)
    half = 1 << (shift - 1)
    return np.clip(low + ((rest > half) | ((rest == half) & (low % 2 == 1))), -128, 127)


def check(graph, wanted, engine, seed):
    """Compare golden with plain arithmetic, and isa with golden."""
    rng = np.random.default_rng(seed)
    kinds = [graph.values[name] for name in "ab"]
    inputs = [rng.integers(k.qmin, k.qmax + 1, (2, *k.shape)) for k in kinds]
    program = compile_graph(graph, Target(engine=engine))
    golden, isa = (simulate(program, inputs, backend=backend) for backend in ("golden", "isa"))
    for image in range(2):
        exact = wanted(*(x[image] for x in inputs))
        np.testing.assert_array_equal(golden.outputs[0][image], rounded(exact))
    compare_outputs(program, golden, isa)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("transposed", [False, True])
def test_matrices(engine, groups, transposed):
    """Heads whose channels are no whole channel groups, and pixels that are no whole words."""
    k, c = (15, 5) if transposed else (3, 10 // groups)
    weight = grid(10, 5, 3) if transposed else grid(groups * k, 1, c)
    op = MatMul("m", "a", "b", "y", transposed, groups, scale(groups * k))

    def wanted(a, b):
        columns = a.reshape(groups, 10 // groups, -1)
        rows = b.reshape(groups, -1, k).transpose(0, 2, 1) if transposed else b
        return (rows.reshape(groups, k, -1) @ columns).reshape(-1, 3, 4)

    check(one(op, grid(10, 3, 4), weight, (groups * k, 3, 4)), wanted, ENGINES[engine], 1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("depthwise", [False, True])
def test_kernels(engine, depthwise):
    kernels, groups, weight = (5, 5, grid(5, 3, 2)) if depthwise else (7, 1, grid(7, 5, 6))
    bias = np.arange(kernels) * 100
    op = DynamicConv2d(
        "m", "a", "b", "y", bias, (3, 2), (2, 1), (1, 1, 0, 1), (1, 2), groups, scale(kernels)
    )

    def wanted(a, b):
        padded = np.pad(a, ((0, 0), (1, 1), (0, 1)))
        taps = b.reshape(kernels, 3, 2, -1)
        out = np.zeros((kernels, 3, 5), np.int64)
        for r in range(3):
            for s in range(2):
                x = padded[:, r : r + 5 : 2, 2 * s : 2 * s + 5]
                own = taps[:, r, s]
                out += own[:, :, None] * x if depthwise else np.tensordot(own, x, 1)
        return out + bias[:, None, None]

    check(one(op, grid(5, 5, 6), weight, (kernels, 3, 5)), wanted, ENGINES[engine], 2)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("groups", "each", "outputs"), [(2, 3, 5), (3, 1, 2), (2, 9, 1)])
def test_kernels_in_groups(engine, groups, each, outputs):
    """Of channels and kernels that are no whole channel groups; one kernel for several channels."""
    kernels, channels = groups * outputs, groups * each
    op = DynamicConv2d(
        "m", "a", "b", "y", np.zeros(kernels, int), (2, 3), (1, 2), (1, 0, 1, 1), (1, 1), groups,
        scale(kernels),
    )  # fmt: skip

    def wanted(a, b):
        padded = np.pad(a, ((0, 0), (1, 0), (1, 1)))
        taps = b.reshape(kernels, 2, 3, each)
        out = np.zeros((kernels, 4, 3), np.int64)
        for k in range(kernels):
            x = padded[k // outputs * each :][:each]
            for r in range(2):
                for s in range(3):
                    out[k] += np.tensordot(taps[k, r, s], x[:, r : r + 4, s : s + 5 : 2], 1)
        return out

    graph = one(op, grid(channels, 4, 5), grid(kernels, 6, each), (kernels, 4, 3))
    check(graph, wanted, ENGINES[engine], 8)


@pytest.mark.parametrize("engine", ["4x3", "8x3-bytes"])
@pytest.mark.parametrize("transposed", [False, True])
def test_weights_that_are_views(engine, transposed):
    """Of some channels of a value, and of several values."""
    a, b = grid(8, 2, 3), grid(16, 2, 4)
    half, both, y = grid(8, 2, 4), grid(16, 2, 4), grid(8 if transposed else 16, 2, 3)
    values = {"a": a, "b": b, "low": half, "high": half, "both": both, "y": y, "z": y}
    source, name = ("high", "y") if transposed else ("both", "y")
    ops = (
        Input("a", "a"),
        Input("b", "b"),
        SelectChannels("low", "b", "low", np.arange(8)),
        SelectChannels("high", "b", "high", np.arange(8, 16)),
        Concat("both", ("high", "low"), "both"),
        MatMul("m", "a", source, name, transposed, 1, scale(y.shape[0])),
        MatMul("n", "a", "low" if transposed else "both", "z", transposed, 1, scale(y.shape[0])),
        Output("o", "y"),
        Output("p", "z"),
    )
    graph = Graph("views", values, ops)
    graph.verify()
    program = compile_graph(graph, Target(engine=ENGINES[engine]))
    rng = np.random.default_rng(3)
    inputs = [rng.integers(-128, 128, (2, *kind.shape)) for kind in (a, b)]
    compare_outputs(program, *(simulate(program, inputs, backend=x) for x in ("golden", "isa")))


def attention(heads, channels, tokens, shape):
    """Return the products of attention of queries, keys and values, without the softmax."""
    maps, scores = grid(heads * channels, *shape), grid(heads * tokens, *shape)
    values = {"q": maps, "k": maps, "v": maps, "s": scores, "y": maps}
    ops = (
        *(Input(name, name) for name in "qkv"),
        MatMul("scores", "q", "k", "s", True, heads, scale(heads * tokens, 12)),
        MatMul("mix", "s", "v", "y", False, heads, scale(heads * channels, 14)),
        Output("o", "y"),
    )
    return Graph("attention", values, ops)


def test_attention_keeps_the_array_busy():
    """196 tokens of 64 channels: more than 60 % of the peak over the products, turning included."""
    config = EngineConfig(rows=16, cols=7, out_depth=1024, act_depth=1024, weight_depth=4096)
    program = compile_graph(attention(1, 64, 196, (14, 14)), Target(engine=config))
    rng = np.random.default_rng(4)
    inputs = [rng.integers(-128, 128, (1, 64, 14, 14)) for _ in range(3)]
    golden, isa = (simulate(program, inputs, backend=backend) for backend in ("golden", "isa"))
    compare_outputs(program, golden, isa)
    assert 2 * 196 * 196 * 64 > 0.63 * config.multipliers * isa.cycles


def self_attention(channels, shape):
    """Return attention's products whose queries, keys and values are convolutions of one map."""
    tokens = int(np.prod(shape))
    maps, scores = grid(channels, *shape), grid(tokens, *shape)
    weight = np.random.default_rng(6).integers(-127, 128, (channels, channels, 1, 1))
    convs = (
        Conv2d(
            f"to {v}", "x", v, np.roll(weight, i, 0), 8, np.zeros(channels, int), (1, 1),
            (0, 0, 0, 0), (1, 1), 1, scale(channels, 12),
        )
        for i, v in enumerate("qkv")
    )  # fmt: skip
    values = {**dict.fromkeys("xqkvy", maps), "s": scores}
    ops = (
        Input("x", "x"),
        *convs,
        MatMul("scores", "q", "k", "s", True, 1, scale(tokens, 10)),
        MatMul("mix", "s", "v", "y", False, 1, scale(channels, 14)),
        Output("o", "y"),
    )
    return Graph("self-attention", values, ops)


@pytest.mark.parametrize("engine", ["4x3", "8x3-bytes"])
@pytest.mark.parametrize("act_depth", [80, 1024])
def test_weights_are_all_there_before_any_is_read(engine, act_depth):
    """The network computes them itself, and the buffer is too small for whole maps, or is not."""
    shape = (24, 3)
    config = replace(ENGINES[engine], act_depth=act_depth, weight_depth=4096)
    program = compile_graph(self_attention(8, shape), Target(engine=config))
    inputs = [np.random.default_rng(7).integers(-128, 128, (1, 8, *shape))]
    compare_outputs(program, *(simulate(program, inputs, backend=x) for x in ("golden", "isa")))


def test_each_image_of_a_batch_has_its_own_weights():
    graph = attention(2, 8, 12, (3, 4))
    program = compile_graph(graph, Target(engine=ENGINES["8x3-bytes"]), batch=3)
    rng = np.random.default_rng(5)
    inputs = [rng.integers(-128, 128, (3, 16, 3, 4)) for _ in range(3)]
    compare_outputs(program, *(simulate(program, inputs, backend=x) for x in ("golden", "isa")))


@pytest.mark.parametrize(
    ("a", "b", "match"),
    [
        (replace(grid(6, 2, 2), zero_point=3), grid(5, 1, 6), "zero points 3 and 0"),
        (grid(6, 2, 2), replace(grid(5, 1, 6), zero_point=-9), "zero points 0 and -9"),
        (grid(6, 2, 2), grid(5, 1, 6, signed=False), "weights up to 255"),
    ],
)
def test_what_the_engine_does_not_multiply_is_named(a, b, match):
    graph = one(MatMul("m", "a", "b", "y", False, 1, scale(5)), a, b, (5, 2, 2))
    with pytest.raises(UnsupportedError, match=f"m: .*{match}"):
        compile_graph(graph, Target(engine=ENGINES["4x3"]))


def test_4_bit_weights_say_so():
    graph = one(
        MatMul("m", "a", "b", "y", False, 1, scale(5)), grid(6, 2, 2), grid(5, 1, 6), (5, 2, 2)
    )
    with pytest.raises(EngineLimitError, match="m: a product of two tensors needs weight_bits=8"):
        compile_graph(graph, Target(engine=replace(ENGINES["4x3"], weight_bits=4)))


def compare_seed(name, operator, seed):
    """Compare golden, isa and rtl on a random network; return whether the engine runs it."""
    return verified(np.random.default_rng(seed), ENGINES[name], operator)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["4x3", "8x3-bytes"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_random_networks_equal_rtl(name, operator):
    for seed in range(4):
        try:
            compare_seed(name, operator, seed)
        except Exception as error:
            raise AssertionError(f"{name}, {operator.__name__}, seed {seed}") from error


def main(seeds: str = "0:200") -> None:
    """Compare a range of seeds on every engine."""
    first, end = map(int, seeds.split(":"))
    for name in ENGINES:
        for operator in OPERATORS:
            label = f"{name} {operator.__name__}"
            run = sum(compare_seed(name, operator, n) for n in track(range(first, end), label))
            print(f"{label}: {run} of {end - first} networks, all equal")


if __name__ == "__main__":
    typer.run(main)
