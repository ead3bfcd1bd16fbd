"""Multipliers and requantization against exact rational arithmetic."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.compiler.ir import Requantize, TensorType, VerifyError, make_requantize
from tilewright.compiler.ir.arithmetic import requantize


def exact(acc: int, r: Requantize, channel: int) -> int:
    # Python rounds fractions half to even.
    q = round(Fraction(acc * r.multiplier[channel], 1 << r.shift[channel])) + r.zero_point
    return min(max(q, r.qmin), r.qmax)


def reference_kernel(acc: int, m: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier of TFLite's reference kernels, in C's integer arithmetic."""

    def divide(a: int, b: int) -> int:  # towards zero
        return abs(a) // b * (1 if a >= 0 else -1)

    left, right = max(31 - shift, 0), max(shift - 31, 0)
    product = (acc << left) * m
    high = divide(product + ((1 << 30) if product >= 0 else 1 - (1 << 30)), 1 << 31)
    rest, threshold = high & ((1 << right) - 1), (((1 << right) - 1) >> 1) + (high < 0)
    return (high >> right) + (rest > threshold)


@settings(max_examples=400, deadline=None)
@given(
    acc=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=8),
    m=st.integers(2**30, 2**31 - 1) | st.sampled_from([0, 1, 2**30]),
    s=st.integers(0, 63),
    zero_point=st.integers(-128, 127),
)
def test_double_rounding_is_that_of_the_reference_kernels(acc, m, s, zero_point) -> None:
    r = Requantize((m, 1), (s, s), zero_point, -32768, 65535, "double")
    x = np.array([acc, acc], dtype=np.int64)
    expected = [[reference_kernel(a, k, s) + zero_point for a in acc] for k in r.multiplier]
    assert requantize(x, r).tolist() == np.clip(expected, r.qmin, r.qmax).tolist()


@settings(max_examples=400, deadline=None)
@given(
    acc=st.lists(st.integers(-(2**33) + 1, 2**33 - 1), min_size=1, max_size=8),
    m=st.integers(0, 2**31 - 1),
    s=st.integers(0, 63),
)
def test_half_away_matches_rational_arithmetic(acc, m, s) -> None:
    def away(a: int, k: int) -> int:
        magnitude = math.floor(Fraction(abs(a) * k, 1 << s) + Fraction(1, 2))
        return magnitude if a >= 0 else -magnitude

    r = Requantize((m, 1), (s, s), 0, -32768, 65535, "half_away")
    expected = [[away(a, k) for a in acc] for k in r.multiplier]
    x = np.array([acc, acc], dtype=np.int64)
    assert requantize(x, r).tolist() == np.clip(expected, r.qmin, r.qmax).tolist()
    both = requantize(x, replace(r, rounding="double"), np.array([True, False]))
    assert both[0].tolist() == requantize(x, r)[0].tolist()
    assert both[1].tolist() == requantize(x, replace(r, rounding="double"))[1].tolist()


def test_double_rounding_of_ties() -> None:
    r = Requantize((1 << 30,) * 3, (31, 33, 29), 0, -128, 127, "double")
    acc = np.array([[-3, -1, 0, 1, 3], [-5, -4, -3, 4, 5], [-3, -1, 0, 1, 3]])
    # Half up alone; half up, then half away from zero; a shift to the left.
    assert requantize(acc, r).tolist() == [[-1, 0, 0, 1, 2], [-1, -1, 0, 1, 1], [-6, -2, 0, 2, 6]]


@settings(max_examples=400, deadline=None)
@given(factor=st.floats(1e-9, 1000.0))
def test_multipliers_of_double_rounding_have_31_bits(factor) -> None:
    r = make_requantize([factor, 0.5, 1e-12], 31, 0, -128, 127, "double")
    assert 1 << 30 <= r.multiplier[0] < 1 << 31
    assert abs(Fraction(r.multiplier[0], 1 << r.shift[0]) / Fraction(factor) - 1) <= 2**-31
    assert (r.multiplier[1:], r.shift[1:]) == ((1 << 30, 0), (31, 31))


@settings(max_examples=400, deadline=None)
@given(
    acc=st.lists(st.integers(-(2**33) + 1, 2**33 - 1), min_size=1, max_size=8),
    m=st.integers(0, 2**31 - 1),
    s=st.integers(0, 63),
    zero_point=st.integers(-128, 255),
)
def test_matches_rational_arithmetic(acc, m, s, zero_point) -> None:
    r = Requantize((m, 1), (s, s), zero_point, -32768, 65535)
    x = np.array([acc, acc], dtype=np.int64)
    assert requantize(x, r).tolist() == [[exact(a, r, k) for a in acc] for k in (0, 1)]


@pytest.mark.parametrize("shift", [1, 2, 15, 16, 17, 31, 32])
def test_ties_go_to_even(shift) -> None:
    r = Requantize((1,), (shift,), 0, -128, 127)
    half = 1 << (shift - 1)
    acc = np.array([[-3 * half, -half, half, 3 * half, 5 * half, half + 1, half - 1]])
    ends = [0, 1, 0] if shift == 1 else [1, 0]
    expected = [-2, 0, 0, 2, 2]
    assert requantize(acc, r)[0, :5].tolist() == expected
    if shift > 1:
        assert requantize(acc, r)[0, 5:].tolist() == ends


def test_largest_values_do_not_overflow() -> None:
    acc = np.array([[2**33 - 1, -(2**33) + 1, 0]])
    for shift in (0, 1, 15, 16, 17, 47, 48, 49, 62, 63):
        r = Requantize((2**31 - 1,), (shift,), -5, -32768, 65535)
        assert requantize(acc, r)[0].tolist() == [exact(int(a), r, 0) for a in acc[0]], shift


@pytest.mark.parametrize("k", range(-63, 18))
def test_powers_of_two_are_exact(k) -> None:
    r = make_requantize([2.0**k], 18, 0, -128, 127)
    assert (r.multiplier, r.shift) == (((1 << k,), (0,)) if k > 0 else ((1,), (-k,)))


@settings(max_examples=400, deadline=None)
@given(factor=st.floats(1e-12, 1000.0), width=st.integers(11, 31))
def test_multiplier_is_the_nearest(factor, width) -> None:
    r = make_requantize([factor], width, 0, -128, 127)
    m, s = r.multiplier[0], r.shift[0]
    if m & (m - 1):
        assert m.bit_length() == width or s == 63
    error = abs(Fraction(m, 1 << s) - Fraction(factor))
    assert error <= Fraction(1, 2 << s)
    if s < 63:
        assert error <= Fraction(factor) / (1 << width)


def test_multiplier_that_rounds_up_to_a_power_of_two() -> None:
    r = make_requantize([1 - 2**-30], 8, 0, 0, 255)
    assert Fraction(r.multiplier[0], 1 << r.shift[0]) == 1
    assert r.multiplier[0] < 256


def test_tiny_factors_round_everything_to_zero() -> None:
    for factor in (2.0**-64, 2.0**-100, 1e-25):
        r = make_requantize([factor], 18, 3, -128, 127)
        assert requantize(np.array([[2**31 - 1, -(2**31)]]), r).tolist() == [[3, 3]]


@pytest.mark.parametrize("factor", [0.0, -0.5, float("nan"), float("inf"), 2.0**18, 2.0**18 - 0.1])
def test_rejects_factors_that_do_not_fit(factor) -> None:
    with pytest.raises(VerifyError, match="factor"):
        make_requantize([factor], 18, 0, -128, 127)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (((1, 1), (0,), 0, 0, 1), "one entry per multiplier"),
        (((), (), 0, 0, 1), "one entry per multiplier"),
        (((2**31,), (0,), 0, 0, 1), "multiplier must be"),
        (((-1,), (0,), 0, 0, 1), "multiplier must be"),
        (((1,), (64,), 0, 0, 1), "shift must be"),
        (((1,), (0,), 0, 2, 1), "qmin must not exceed"),
    ],
)
def test_requantize_rejects(fields, message) -> None:
    with pytest.raises(VerifyError, match=message):
        Requantize(*fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (((1, 0, 1), 8, True, 1.0, 0), "shape"),
        (((1, 1, 1), 1, True, 1.0, 0), "bits"),
        (((1, 1, 1), 17, True, 1.0, 0), "bits"),
        (((1, 1, 1), 8, True, 0.0, 0), "scale"),
        (((1, 1, 1), 8, True, float("nan"), 0), "scale"),
        (((1, 1, 1), 8, True, 1.0, 128), "zero_point"),
        (((1, 1, 1), 8, False, 1.0, -1), "zero_point"),
    ],
)
def test_tensor_type_rejects(fields, message) -> None:
    with pytest.raises(VerifyError, match=message):
        TensorType(*fields)


def test_tensor_type_ranges() -> None:
    signed, unsigned = (TensorType((2, 3, 4), 4, s, 0.5, 0) for s in (True, False))
    assert (signed.qmin, signed.qmax, unsigned.qmin, unsigned.qmax) == (-8, 7, 0, 15)
    assert signed.numel == 24
