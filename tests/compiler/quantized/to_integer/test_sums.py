"""Sums of operands on any two grids: every pair of bytes, against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

import tilewright as tw
from tilewright.compiler.ir import choose_multipliers
from tilewright.compiler.ir.run import run
from tilewright.compiler.quantized import Quantization
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.passes import given
from tilewright.compiler.quantized.to_integer import to_integer

SIDE = 256


def graph_of(a, b, c):
    builder = Builder()
    x = builder.quantized("qx", builder.input("x", (1, SIDE, SIDE)), a)
    y = builder.quantized("qy", builder.input("y", (1, SIDE, SIDE)), b)
    total = builder.quantized("qz", builder.binary("sum", "add", x, y), c)
    return to_integer(given(builder.graph("net", [total]))).graph


def every_pair(a, b):
    rows = np.arange(a.qmin, a.qmax + 1)
    columns = np.arange(b.qmin, b.qmax + 1)
    return np.repeat(rows, SIDE).reshape(1, SIDE, SIDE), np.tile(columns, SIDE).reshape(
        1, SIDE, SIDE
    )


def expected(a, b, c, x, y):
    """Round exact sums half to even."""
    step = Fraction(c.scale)
    left, right = (Fraction(g.scale) / step for g in (a, b))
    sums = {}
    for p in range(a.qmin, a.qmax + 1):
        for q in range(b.qmin, b.qmax + 1):
            total = round(left * (p - a.zero_point) + right * (q - b.zero_point))
            sums[p, q] = min(max(total + c.zero_point, c.qmin), c.qmax)
    return np.array([sums[p, q] for p, q in zip(x.flat, y.flat, strict=True)]).reshape(x.shape)


def grid(rng, signed):
    low, high = (-128, 127) if signed else (0, 255)
    zero = int(rng.choice([0, low, high, rng.integers(low, high + 1)]))
    return Quantization(float(np.float32(rng.uniform(0.02, 0.2))), zero, 8, signed)


@pytest.mark.parametrize("seed", range(6))
def test_every_pair_is_rounded_once(seed):
    rng = np.random.default_rng(seed)
    a, b = (grid(rng, bool(rng.integers(2)) if seed % 2 else seed < 3) for _ in range(2))
    c = grid(rng, bool(rng.integers(2)))
    x, y = every_pair(a, b)
    graph = choose_multipliers(graph_of(a, b, c), 31)
    (output,) = graph.outputs
    found = run(graph, [x, y])[output.input]
    wrong = (found != expected(a, b, c, x, y)).sum()
    assert wrong <= 1, f"{wrong} of {found.size}, seed {seed}"


@pytest.mark.parametrize(("left", "right"), [(1, 4), (3, 2), (8, 1), (5, 64)])
def test_scales_as_small_numbers_make_one_exact_sum(left, right):
    a, b = (Quantization(n / 64, z, 8, True) for n, z in ((left, 3), (right, -20)))
    c = Quantization(0.5, 2, 8, True)
    graph = graph_of(a, b, c)
    assert [type(op).__name__ for op in graph.layers] == ["WeightedSum"]
    x, y = every_pair(a, b)
    graph = choose_multipliers(graph, 18)
    (output,) = graph.outputs
    np.testing.assert_array_equal(run(graph, [x, y])[output.input], expected(a, b, c, x, y))


def test_scales_far_apart_are_refused():
    with pytest.raises(tw.UnsupportedError, match="sum: a sum of operands whose scales are 1"):
        graph_of(*(Quantization(s, 0, 8, True) for s in (1.2345678, 0.1123, 0.0001)))


def test_runs_on_an_engine():
    rng = np.random.default_rng(9)
    a, b, c = (grid(rng, signed) for signed in (True, False, True))
    engine = tw.EngineConfig(rows=4, cols=4, act_depth=4096)
    program = tw.compile_graph(graph_of(a, b, c), tw.Target(engine=engine))
    x, y = (v[None] for v in every_pair(a, b))
    golden, isa = (tw.simulate(program, (x, y), backend=k) for k in ("golden", "isa"))
    np.testing.assert_array_equal(golden.outputs[0], isa.outputs[0])
