"""golden == isa == rtl, elements and cycles, for programs of several images."""

import pytest

from tests.cosim.engines import ENGINES
from tests.seeds import seeds
from tests.strategies.batches import compare_seed


@pytest.mark.slow
@seeds(3, 8)
@pytest.mark.parametrize("engine", ["4x2-small", "8x7-bus64"])
@pytest.mark.parametrize("kind", ["network", "pixels"])
def test_random_batches_equal_rtl(kind, engine, cases):
    ran = []
    for seed in cases:
        try:
            ran.append(compare_seed(seed, kind, ENGINES[engine], rtl=True))
        except Exception as error:
            raise AssertionError(f"{kind}, {engine}, seed {seed}") from error
    assert any(program is not None and program.batch > 1 for program in ran)
