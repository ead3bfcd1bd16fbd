"""Folding of scale and offset, channel by channel, against float64."""

from fractions import Fraction

import numpy as np
import pytest

from tilewright import UnsupportedError
from tilewright.compiler import ir
from tilewright.compiler.ir.arithmetic import requantize
from tilewright.compiler.quantized import Quantization
from tilewright.compiler.quantized.to_integer.folding import fold
from tilewright.compiler.quantized.to_integer.values import Weight

INPUT = ir.TensorType((4, 1, 1), 8, True, 1.0, 0)
WEIGHT = Weight(np.array([[100, -50, 127, -127]]), np.ones(1), 8)


def grid(scale: float, zero_point: int = 0, bits: int = 8) -> Quantization:
    limit = 1 << (bits - 1)
    return Quantization(scale, zero_point, bits, True, -limit, limit - 1)


def folded(scale: float, offset: float, to: Quantization, *, weight=WEIGHT, rounds=True):
    return fold("conv", weight, np.array([scale]), np.array([offset]), rounds, INPUT, to)


def outputs(f, x: np.ndarray) -> np.ndarray:
    return requantize((f.weight @ x + f.bias[:, None]), f.requantize.chosen(31))[0]


def expected(scale: float, offset: float, to: Quantization, x: np.ndarray) -> np.ndarray:
    acc = WEIGHT.integers @ x
    q = [round(Fraction(scale) * int(a) / Fraction(to.scale) + Fraction(offset) / Fraction(to.scale)
               + to.zero_point) for a in acc[0]]  # fmt: skip
    return np.clip(q, to.qmin, to.qmax)


@pytest.mark.parametrize("scale", [2.0**-8, -(2.0**-8), 2.0**-12, 1.0])
@pytest.mark.parametrize("zero_point", [0, 1, -3, -128, 127])
@pytest.mark.parametrize("steps", [0, 7, -1000])
def test_powers_of_two_are_exact_for_any_zero_point(scale, zero_point, steps) -> None:
    x = np.random.default_rng(3).integers(-128, 128, (4, 500))
    # Single inputs of multiples of 32 make ties common.
    x = np.concatenate([x, np.diag([32, 64, 96, 1])[:, :4], np.eye(4, dtype=int) * -64], axis=1)
    to, offset = grid(1.0, zero_point), steps * abs(scale)
    f = folded(scale, offset, to, rounds=False)
    assert f.bias_error == 0
    assert np.array_equal(outputs(f, x), expected(scale, offset, to, x))


def test_ties_at_an_odd_zero_point() -> None:
    # acc / 2 + 1 for acc = -3, -1, 1, 3, 5: -.5, .5, 1.5, 2.5, 3.5
    f = folded(0.5, 0.0, grid(1.0, 1), weight=Weight(np.array([[1, 0, 0, 0]]), np.ones(1), 8))
    x = np.zeros((4, 5), int)
    x[0] = [-3, -1, 1, 3, 5]
    assert outputs(f, x).tolist() == [0, 0, 2, 2, 4]


@pytest.mark.parametrize("seed", range(20))
def test_offset_off_the_grid_costs_at_most_one(seed) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (4, 500))
    scale, offset = float(rng.normal() * 0.01), float(rng.normal() * 20)
    f = folded(scale, offset, grid(1.0))
    assert 0 < f.bias_error <= abs(scale) / 2
    assert np.abs(outputs(f, x) - expected(scale, offset, grid(1.0), x)).max() <= 1, f"seed {seed}"


@pytest.mark.parametrize("offset", [0.0, 0.5, 1.5, -7.3, 1e9, -1e9])
@pytest.mark.parametrize("scale", [0.0, 1e-12, -1e-12, 1e-300])
@pytest.mark.parametrize("zero_point", [0, 5])
def test_drowned_accumulators_become_constants(scale, offset, zero_point) -> None:
    x = np.random.default_rng(5).integers(-128, 128, (4, 50))
    to = grid(1.0, zero_point)
    f = folded(scale, offset, to)
    assert np.abs(outputs(f, x) - expected(scale, offset, to, x)).max() <= (scale != 0)


def test_saturated_channels_become_constants() -> None:
    f = folded(2.0**-10, 2.0**24, grid(1.0))
    assert outputs(f, np.zeros((4, 3), int)).tolist() == [127] * 3
    assert f.bias_error == 0


def test_offset_beyond_int32_is_refused_where_it_matters() -> None:
    # 2**20 accumulator steps are eight output steps; the offset is 2**31 accumulator steps.
    weight = Weight(np.full((1, 64), 127), np.ones(1), 8)
    with pytest.raises(UnsupportedError, match="beyond int32"):
        folded(2.0**-17, 2.0**14, grid(1.0, bits=16), weight=weight)


def test_rounding_that_could_cost_more_than_one_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="more than one LSB"):
        folded(3.0, 1.0, grid(1.0))


def test_an_offset_that_float32_moved_off_the_grid_is_rounded() -> None:
    """As in files, whose bias has a scale of its own; result steps are finer than sums here."""
    f = folded(3.0, 6.003, grid(1.0))
    assert f.bias.tolist() == [2] * len(f.bias)
    assert 0 < f.bias_error < 0.01


def test_negating_the_lowest_weight_is_refused() -> None:
    weight = Weight(np.array([[-128, 0, 0, 0]]), np.ones(1), 8)
    with pytest.raises(UnsupportedError, match="narrow"):
        folded(-0.5, 0.0, grid(1.0), weight=weight)


def test_a_factor_that_is_no_number_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="coarser output scale"):
        folded(1e300, 0.0, grid(1e-300))
