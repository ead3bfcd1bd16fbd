"""Engines that are synthesized for estimates have every option, each in some of them."""

from collections import Counter

import pytest

from benchmarks.estimates import FAMILIES, ROUND, VALUES, drawn

#: In each round at least so many engines have it, and so many do not.
SOME = 3
OPTIONS = {
    "tables": lambda c: c.tables > 0,
    "tiles": lambda c: c.partial_depth > 0,
    "sampler": lambda c: c.offset_depth > 0,
    "fractions": lambda c: c.offset_depth > 0 and c.offset_fraction > 0,
    "shared words": lambda c: c.shared_words,
    "products": lambda c: c.products,
    "rounding": lambda c: c.rounding == "double",
    "pipelined": lambda c: c.pipelined,
    "maximum": lambda c: c.maximum,
    "several requantizers": lambda c: c.requantizer_count > 1,
}
OF_ECP5 = {
    "4 bits": lambda c: c.weight_bits == 4,
    "wide data": lambda c: c.data_width > 9,
    "wide kernels": lambda c: c.kernel_width > 8,
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", [0, 1])
def test_every_round_has_engines_with_and_without_each_option(family, number):
    engines = drawn(family, 2 * ROUND)[number * ROUND : (number + 1) * ROUND]
    for name, has in (OPTIONS | (OF_ECP5 if family == "ecp5" else {})).items():
        assert SOME <= sum(map(has, engines)) <= ROUND - SOME, name
    for name in ("act_depth", "weight_depth", "acc_width", "queue_depth", "addr_width"):
        seen = Counter(getattr(engine, name) for engine in engines)
        assert set(seen) == set(VALUES[name])
        assert min(seen.values()) >= ROUND // len(VALUES[name])
    for engine in engines:
        assert engine.dsp == family


@pytest.mark.parametrize("family", FAMILIES)
def test_a_longer_campaign_begins_with_the_engines_of_a_shorter_one(family):
    assert drawn(family, 30)[:10] == drawn(family, 10)
    assert len(set(drawn(family, 2 * ROUND))) == 2 * ROUND
