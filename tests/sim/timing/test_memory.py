"""A memory with rows stands in for one of fixed latencies."""

import random
from dataclasses import dataclass, field

from tilewright.isa import EngineConfig, LoadActivations, LoadKernels, LoadWeights, Store
from tilewright.sim.timing.load import load_timing
from tilewright.sim.timing.memory import MemoryTiming
from tilewright.sim.timing.store import store_cycles

CONFIG = EngineConfig(
    rows=4, cols=3, bus_width=32, burst_beats=8, outstanding=2, transform_at_load=True,
    kernel_width=14, data_width=13, partial_depth=64,
)  # fmt: skip


@dataclass
class Rows:
    """Opens a row of ``size`` bytes in ``miss`` cycles, and answers from it in ``hit``."""

    size: int
    hit: int
    miss: int
    open: int = -1
    misses: int = 0
    asked: list = field(default_factory=list)

    fixed = False

    def __hash__(self):
        return id(self)

    def served(self, burst):
        self.asked.append(burst)
        row = burst.address // self.size
        wait = self.hit if row == self.open else self.miss
        self.misses += row != self.open
        self.open = row
        return burst.cycle + wait


def commands(rng):
    address, words = 4 * rng.randrange(500), rng.randint(1, 300)
    height, width = rng.randint(1, 9), rng.randint(1, 20)
    area = {"groups": 2, "group_stride": 4 * height * width, "height": height, "width": width}
    yield LoadWeights(address=address, words=words, base=0)
    yield LoadActivations(address=address, **area, base=0, row_step=7, group_step=63)
    kernels = {"channels": rng.randint(1, 20), "taps": rng.randint(1, 16)}
    yield LoadKernels(address=address, base=0, term_step=64, steps=rng.randint(1, 30), **kernels)
    yield Store(address=address, **area, base=0)


def cycles(memory, command):
    if isinstance(command, Store):
        return store_cycles(CONFIG, memory, command)
    return load_timing(CONFIG, memory, command).done


def test_rows_as_fast_as_fixed_latencies_take_the_same():
    for seed in range(30):
        for command in commands(random.Random(seed)):
            for latency in (1, 13, 60):
                fixed = cycles(MemoryTiming(latency, latency), command)
                rows = Rows(64, latency, latency)
                assert cycles(rows, command) == fixed, f"seed {seed}, {command}"
                moves = [burst.cycle for burst in rows.asked]
                assert moves == sorted(moves), "bursts are asked for in order"


def test_rows_that_must_be_opened_cost_cycles():
    slower = 0
    for seed in range(30):
        for command in commands(random.Random(seed)):
            rows = Rows(128, 5, 25)
            taken = cycles(rows, command)
            fast, slow = (cycles(MemoryTiming(n, n), command) for n in (5, 25))
            assert fast <= taken <= slow, f"seed {seed}, {command}"
            slower += taken > fast
            assert rows.misses >= 1
    assert slower
