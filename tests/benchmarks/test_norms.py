"""Norms stay within the bound that is derived for them, and keep their signal."""

import pytest

from benchmarks import norms

LEAST_DB = {"InstanceNorm": 30, "GroupNorm of 4": 29}


@pytest.mark.parametrize("name", LEAST_DB)
def test_within_its_bound(name):
    record = norms.measure(name)
    assert record["share_of_bound"] <= 1 + 1e-9
    assert record["bound_db"] > 20
    assert record["snr_db"] > LEAST_DB[name]
