"""Minimal filtering: proofs, integers against direct filtering, published figures."""

from dataclasses import replace
from fractions import Fraction
from math import log2

import numpy as np
import pytest

from tilewright.compiler.winograd import (
    INFINITY,
    IntegerTransform,
    condition_number,
    default_points,
    search,
    toom_cook,
)
from tilewright.compiler.winograd.kernels import kernel_transform
from tilewright.compiler.winograd.terms import tiling, tilings
from tilewright.compiler.winograd.transform import TransformError

SIZES = [(m, r) for m in range(2, 9) for r in range(2, 8)]


def pairs(*magnitudes):
    """Return 0, the magnitudes with both signs, and infinity."""
    signed = [Fraction(x) * sign for x in magnitudes for sign in (1, -1)]
    return (Fraction(0), *signed, INFINITY)


def direct(data, kernel, m):
    taps = kernel.shape[-1]
    windows = np.stack([data[..., k : k + taps] for k in range(m)], -2)
    return (windows * kernel[..., None, :]).sum(-1)


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_transforms_are_proven_and_equal_the_filter(m, r):
    transform = toom_cook(m, r)
    transform.prove()
    exact = IntegerTransform.of(transform)
    if max(exact.operands().data, exact.operands().kernel) > 28:
        return  # the products would not fit the integers of this test
    rng = np.random.default_rng(m * 10 + r)
    data = rng.integers(-128, 128, (50, m + r - 1))
    kernel = rng.integers(-128, 128, (50, r))
    data[:4], kernel[:4] = -128, ((-128,), (127,), (-128,), (127,))
    data[2:4] = 127
    np.testing.assert_array_equal(exact.filter(data, kernel), direct(data, kernel, m))


@pytest.mark.parametrize(
    ("matrix", "row", "column"), [("output", 1, 2), ("kernel", 3, 0), ("data", 5, 4)]
)
def test_a_wrong_coefficient_is_found(matrix, row, column):
    transform = toom_cook(4, 3)
    rows = [list(line) for line in getattr(transform, matrix)]
    rows[row][column] += Fraction(1, 1000)
    broken = replace(transform, **{matrix: tuple(map(tuple, rows))})
    with pytest.raises(TransformError, match=r"F\(4,3\).*output \d has the coefficient"):
        broken.prove()


@pytest.mark.parametrize(
    ("m", "r", "points"),
    [
        (0, 3, None),
        (2, 0, None),
        (2, 3, (0, 1)),
        (2, 3, (0, 1, 1, INFINITY)),
        (2, 3, (0, 1, -1, "x")),
    ],
)
def test_points_that_give_no_transform(m, r, points):
    with pytest.raises(TransformError):
        toom_cook(m, r, points)


@pytest.mark.parametrize("m", [2, 4, 6])
def test_bits_are_those_of_the_worst_inputs(m):
    exact = IntegerTransform.of(toom_cook(m, 3))
    # The extremes of a sum of products with signs are at the corners.
    corners = np.array(np.meshgrid(*[[-128, 127]] * (m + 2))).reshape(m + 2, -1)
    for matrix, inputs, bits in (
        (exact.data, corners, exact.operands().data),
        (exact.kernel, corners[:3], exact.operands().kernel),
    ):
        values = np.array(matrix) @ inputs
        assert -(1 << (bits - 1)) <= values.min()
        assert values.max() < 1 << (bits - 1)
        narrow = bits - 1
        assert values.min() < -(1 << (narrow - 1)) or values.max() >= 1 << (narrow - 1)


def test_sums_stay_within_their_bits():
    exact = IntegerTransform.of(toom_cook(4, 3))
    rng = np.random.default_rng(5)
    data, kernel = rng.choice([-128, 127], (2000, 6)), rng.choice([-128, 127], (2000, 3))
    products = (data @ np.array(exact.data).T) * (kernel @ np.array(exact.kernel).T)
    sums = products @ np.array(exact.output).T
    bits = exact.accumulator_bits(1)
    assert -(1 << (bits - 1)) <= sums.min()
    assert sums.max() < 1 << (bits - 1)
    assert exact.accumulator_bits(64) == bits + 6


def test_widths_of_the_common_transforms():
    """F(4,3) in one dimension takes 12 x 11 bits; F(2,3) nested 10 x 12, F(4,3) nested 15 x 14."""
    widths = {
        (4, 1): (12, 11),
        (2, 2): (10, 12),
        (4, 2): (15, 14),
    }
    for (m, dimensions), expected in widths.items():
        operands = IntegerTransform.of(toom_cook(m, 3)).operands(dimensions=dimensions)
        assert (operands.data, operands.kernel) == expected


@pytest.mark.parametrize(
    ("points", "condition"),
    [
        (pairs("2/5", "5/6", 1, "7/6"), 474.1),
        (pairs(1, 2, 3, 4), 196_900),
        (pairs("3/5", 1, "7/6"), 76.6),
        (pairs("5/6", "7/6"), 14.5),
        (pairs(1, 2), 42.5),
    ],
)
def test_published_condition_numbers(points, condition):
    assert condition_number(points) == pytest.approx(condition, rel=5e-3)


def test_good_condition_costs_bits():
    """Points for floats are bad for integers: NOVA's F(4,3) against the usual points, nested."""

    def growth(points):
        exact = IntegerTransform.of(toom_cook(4, 3, points))
        worst = [max(sum(map(abs, row)) for row in rows) for rows in (exact.data, exact.kernel)]
        return [2 * log2(value) for value in worst]

    assert growth(pairs("5/6", "7/6")) == pytest.approx([24.7, 14.0], abs=0.06)
    assert growth(pairs(1, 2)) == pytest.approx([6.6, 5.6], abs=0.06)


@pytest.mark.parametrize(
    ("objective", "known"), [("condition", 14.6), ("bits", 23.1), ("luts", 722.1)]
)
def test_the_search_finds_what_is_known(objective, known):
    options = {"denominator": 10, "generations": 25, "population": 20}
    found = search(4, 3, objective, **options)
    assert found.best.cost <= known
    assert found.best in found.tried
    assert found.best.cost == min(candidate.cost for candidate in found.tried)
    assert found == search(4, 3, objective, **options)
    toom_cook(4, 3, found.best.points).prove()


def test_default_points_are_distinct():
    for n in range(2, 16):
        points = default_points(n)
        assert len(set(points)) == n
        assert points[-1] == INFINITY


@pytest.mark.parametrize("kernel", [(3, 3), (2, 2), (1, 5), (5, 3), (4, 4)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 2)])
def test_steps_make_the_kernel_of_every_term(kernel, stride):
    for tiles in tilings(kernel, stride):
        transform = kernel_transform(tiles)
        results, sums = [], np.zeros(kernel[0] * kernel[1], int)
        for step in transform.steps:
            sums = np.zeros_like(sums) if step.first else sums << step.double
            sums[step.tap] += step.factor
            if step.write:
                results.append(sums.copy())
        assert len(results) == transform.kernels == len({tuple(r) for r in results})
        for term, slot in zip(tiles.terms, transform.slots, strict=True):
            np.testing.assert_array_equal(results[slot], term.kernel.reshape(-1), str(tiles))
        assert transform.slots[-1] == 0, "the last term's parameters lie before the first kernel"


@pytest.mark.parametrize(
    ("m", "stride", "kernels", "steps"),
    [((4, 2), 1, 24, 85), ((4, 1), 1, 18, 36), ((2, 2), 1, 16, 34), ((4, 2), 2, 24, 52)],
)
def test_steps_of_the_common_tiles(m, stride, kernels, steps):
    transform = kernel_transform(tiling(m, (3, 3), (stride, stride)))
    assert transform.kernels == kernels
    assert len(transform.steps) <= steps


def test_kernels_of_too_many_taps_have_no_steps():
    (tiles, *_) = tilings((5, 5))
    transform = kernel_transform(tiles)
    assert not transform.steps
    assert sorted(set(transform.slots)) == list(range(transform.kernels))


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 2), (3, 2)])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (1, 3), (4, 2), (2, 3)])
def test_tiles_as_matrices_are_the_filter_times_the_divisor(kernel, stride):
    for tiles in tilings(kernel, stride):
        undivided = tiles.undivided
        assert str(undivided) == f"{tiles} rounded"
        assert undivided.divisor == 1
        factors = np.stack([term.kernel for term in tiles.terms])
        product = np.einsum("pij,prs,puv->ijrsuv", undivided.output, factors, undivided.data)
        expected = np.zeros_like(product)
        for i, j, r, s in np.ndindex(*tiles.m, *kernel):
            expected[i, j, r, s, i * stride[0] + r, j * stride[1] + s] = tiles.divisor
        np.testing.assert_array_equal(product, expected, err_msg=str(tiles))
