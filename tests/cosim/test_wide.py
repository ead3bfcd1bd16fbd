"""Rows that no buffer holds, in strips of columns: golden == isa == rtl."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.random_wide import (
    RTL_ENGINES,
    compiled,
    strips_of_columns,
    tiny_engine,
    wide_network,
)
from tests.strategies.agree import compare
from tilewright.api.verify import verify

CASES, NETWORKS, RTL_CASES = 16, 6, 12


def test_random_layers_on_tiny_engines_agree():
    cut = 0
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        case = compiled(rng, tiny_engine(rng))
        if case is None:
            continue
        assert not compare(*case).wrong, f"seed {seed}"
        cut += strips_of_columns(case[0]) > 1
    assert cut > CASES // 6


@pytest.mark.exhaustive
def test_layers_that_run_together_on_tiny_engines_agree():
    """Rows of two operands once had other pitches: an addition took other pixels of the second."""
    cut = 0
    for seed in range(NETWORKS):
        rng = np.random.default_rng(seed)
        config = replace(tiny_engine(rng), weight_bits=8)
        case = compiled(rng, config, wide_network)
        if case is None:
            continue
        assert not compare(*case).wrong, f"seed {seed}"
        cut += any(group.columns > 1 and len(group.layers) > 1 for group in case[0].schedule)
    assert cut > NETWORKS // 4


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", RTL_ENGINES)
def test_random_layers_agree_with_rtl(name):
    cut = 0
    for seed in range(RTL_CASES):
        case = compiled(np.random.default_rng(seed), RTL_ENGINES[name])
        if case is None:
            continue
        try:
            verify(*case)
        except Exception as error:
            pytest.fail(f"seed {seed}, engine {name}: {error}")
        cut += strips_of_columns(case[0]) > 1
    assert cut > RTL_CASES // 6
