"""Long and sparse kernels: golden == isa, and == rtl for some, elements and cycles."""

import pytest

from tests.cosim.random_forms import compare_seed

CASES, RTL_CASES = 16, 4


def test_random_convolutions_agree():
    cut = 0
    for seed in range(CASES):
        _, parts, wrong = compare_seed(seed)
        assert not wrong, f"seed {seed}"
        cut += parts
    assert cut > CASES // 2


@pytest.mark.slow
def test_rtl_agrees():
    for seed in range(CASES, CASES + RTL_CASES):
        try:
            compare_seed(seed, rtl=True, engine="4x4")
        except Exception as error:
            pytest.fail(f"seed {seed}: {error}")
