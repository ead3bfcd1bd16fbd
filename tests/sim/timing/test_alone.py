"""What is remembered of one engine's loads and stores is what another engine's take."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tilewright.errors import Error
from tilewright.isa import LoadActivations, LoadWeights, Store
from tilewright.sim.timing import SDRAM, LargeMemory
from tilewright.sim.timing.alone import _cycles, cycles_alone

SMALL = ENGINES["4x4-bus64"]
CHANGES = (
    {}, {"rows": 8}, {"cols": 3}, {"rows": 16, "requantizers": 4}, {"bus_width": 32},
    {"burst_beats": 4}, {"outstanding": 1}, {"act_depth": 2048}, {"weight_depth": 4096},
    {"out_depth": 1024}, {"pipelined": False}, {"queue_depth": 32}, {"count_width": 12},
    {"tables": 2}, {"prefetch": False}, {"counters": False}, {"shared_words": True},
)  # fmt: skip


def commands(rng):
    """Yield loads and stores of all kinds of shapes."""
    for _ in range(12):
        groups, height, width = (int(n) for n in rng.integers(1, 9, 3))
        block = {"groups": groups, "group_stride": 64 * int(rng.integers(8, 40)), "base": 0}
        block |= {"address": 8 * int(rng.integers(0, 900)), "height": height, "width": width}
        yield LoadActivations(row_step=0, group_step=0, pixel=0, **block)
        yield Store(**block)
        yield LoadWeights(address=block["address"], words=groups * height * width, base=0)


@pytest.mark.parametrize(
    ("memory", "bus_width"), [(SDRAM("IS42S16160G-7", 100.0), 64), (LargeMemory("ice40"), 32)]
)
def test_remembered_cycles_are_those_of_the_engine_that_asks(memory, bus_width):
    """In an order in which every engine but the first finds what the others left."""
    engines = []
    for change in CHANGES:
        try:
            engine = replace(SMALL, **{"bus_width": bus_width, **change})
            memory.run(engine)
        except Error:  # a bus that the memory has not
            continue
        engines.append(engine)
    asked = [(engine, one) for one in commands(np.random.default_rng(7)) for engine in engines]
    _cycles.cache_clear()
    remembered = [cycles_alone(engine, memory, one) for engine, one in asked]
    hits = _cycles.cache_info().hits
    assert hits > len(asked) / 3
    for (engine, one), cycles in zip(asked, remembered, strict=True):
        _cycles.cache_clear()
        assert cycles_alone(engine, memory, one) == cycles, (engine, one)
