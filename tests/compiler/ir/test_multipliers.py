"""Graphs with real factors, and multipliers of an engine's width of them."""

import math

import numpy as np
import pytest

from tilewright import UnsupportedError
from tilewright.compiler import ir

KIND = ir.TensorType((2, 3, 4), 8, True, 0.1, 0)


def graph(*factors, rounding="half_even"):
    """One operator that rescales two channels, one that adds."""
    scale = ir.Ratio.of(factors, 0, -128, 127, rounding)
    plain = ir.Requantize((3, 3), (2, 2), 0, -128, 127)
    ops = (
        ir.Input("x", "x"),
        ir.Rescale("y", "x", "y", scale),
        ir.Add("z", "x", "y", "z", plain, scale, plain, 8, True),
        ir.Output("output", "z"),
    )
    made = ir.Graph("scaled", dict.fromkeys("xyz", KIND), ops)
    made.verify()
    return made


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("width", [2, 8, 18, 31])
def test_multipliers_are_those_of_the_factors(seed, width):
    """As if the width had been known from the start: a ratio forgets nothing of a factor."""
    rng = np.random.default_rng(seed)
    factors = tuple((2.0 ** rng.uniform(-70, min(1, width - 2), 2)).tolist())
    found = ir.choose_multipliers(graph(*factors), width)
    wanted = ir.make_requantize(factors, width, 0, -128, 127)
    assert found.ops[1].requantize == wanted, f"seed {seed}"
    assert found.ops[2].requantize_b == wanted, f"seed {seed}"


@pytest.mark.parametrize("factor", [1.0, 0.5, 1 / 3, 5e-324, 2.0**-1022, 1.7e308, math.pi])
def test_a_ratio_has_its_factor_to_the_last_bit(factor):
    assert ir.Ratio.of([factor], 0, 0, 1).factors == (factor,)


def test_rounding_is_kept():
    found = ir.choose_multipliers(graph(0.3, 0.4, rounding="double"), 31)
    assert found.ops[1].requantize == ir.make_requantize([0.3, 0.4], 31, 0, -128, 127, "double")


def test_multipliers_that_a_graph_has_stay():
    chosen = ir.choose_multipliers(graph(0.3, 0.4), 18)
    assert chosen.ops[2].requantize_a == ir.Requantize((3, 3), (2, 2), 0, -128, 127)
    assert ir.choose_multipliers(chosen, 8) is chosen


def test_a_factor_beyond_the_width_is_refused():
    with pytest.raises(UnsupportedError, match=r"y: output scale is 300 times finer"):
        ir.choose_multipliers(graph(0.1, 300.0), 8)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.inf, math.nan])
def test_a_factor_is_finite_and_positive(factor):
    with pytest.raises(ir.VerifyError, match="finite and positive"):
        ir.Ratio.of([factor], 0, 0, 1)


def test_nothing_is_computed_before_multipliers_are_chosen():
    with pytest.raises(ir.VerifyError, match="not chosen"):
        ir.run(graph(0.3, 0.4), [np.zeros(KIND.shape, np.int64)])


@pytest.mark.parametrize("factors", [(0.1, 0.1), (1 / 3, 2.0**-80)])
@pytest.mark.parametrize("rounding", ["half_even", "double"])
def test_factors_print_and_parse_back(factors, rounding):
    made = graph(*factors, rounding=rounding)
    assert ir.parse_graph(ir.print_graph(made)) == made


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[0.25, 0.5]", "[1, 2]"),
        ("[0.25, 0.5]", "[NaN, 0.5]"),
        ("[0.25, 0.5]", "[Infinity, 0.5]"),
        ("[0.25, 0.5]", "[-0.25, 0.5]"),
        ("[0.25, 0.5]", "0.25"),
        ("[0.25, 0.5]", "[[0.25], 0.5]"),
        ("[0.25, 0.5]", "[0.25] * 99999999"),
    ],
)
def test_damaged_factors_are_refused(old, new):
    text = ir.print_graph(graph(0.25, 0.5))
    assert old in text
    with pytest.raises((ir.ParseError, ir.VerifyError)):
        ir.parse_graph(text.replace(old, new))
