"""Kernels transformed as they are loaded: exact cycles, sums and placement."""

import random
from dataclasses import replace

import pytest

from tests.hdl.fixed_memory import run
from tests.hdl.load.test_load import BYTES, Bench, random_config
from tilewright.isa import LoadKernels, LoadKernelSteps, LoadWeights
from tilewright.isa.kernel_steps import MAX_KERNEL_TAPS, KernelStep
from tilewright.isa.registers import Status
from tilewright.sim.timing.load import load_timing
from tilewright.sim.timing.memory import MemoryTiming


class KernelBench(Bench):
    """Also records transformed weights."""

    def __init__(self, *args):
        super().__init__(*args)
        self.kernels = []

    async def step(self, ctx):
        write = self.unit.kernel_write
        if ctx.get(write.valid):
            self.kernels.append((self.memory.cycle, ctx.get(write.addr), ctx.get(write.data)))
        await super().step(ctx)


def transforming_config(rng):
    return replace(
        random_config(rng),
        rows=rng.choice((2, 4, 8, 16)),
        kernel_width=rng.randint(9, 16),
        partial_depth=64,
        transform_at_load=True,
        weight_depth=rng.choice((64, 512, 4096)),
        act_depth=rng.choice((16, 1024)),
    )


def random_steps(rng, taps):
    count = rng.choice((1, 2, rng.randint(3, 20), rng.randint(20, 90)))
    fields = ("shift", "negative", "first", "double", "write")
    steps = [
        KernelStep(tap=rng.randrange(taps), **{name: rng.randrange(2) for name in fields})
        for _ in range(count)
    ]
    return [replace(steps[0], first=1), *steps[1:]]


def results(config, command, steps, memory):
    """Return (address, word) of every result, in plain Python."""
    row_bytes = -(-command.taps * config.rows // config.bus_bytes) * config.bus_bytes
    mask = (1 << config.kernel_width) - 1
    log = []
    for channel in range(command.channels):
        at = command.address + channel * row_bytes
        sums, count = [0] * config.rows, 0
        for step in steps:
            for k in range(config.rows):
                tap = memory[at + step.tap * config.rows + k]
                tap = tap - 256 if tap > 127 else tap
                before = 0 if step.first else sums[k] * (2 if step.double else 1)
                sums[k] = before + tap * (2 if step.shift else 1) * (-1 if step.negative else 1)
            if step.write:
                word = sum((s & mask) << config.kernel_width * k for k, s in enumerate(sums))
                place = command.base + count * command.term_step + channel
                log.append((place % config.weight_depth, word))
                count += 1
    return log


@pytest.mark.parametrize("seed", range(12))
def test_sums_and_cycles_match_the_model(seed):
    rng = random.Random(seed)
    config = transforming_config(rng)
    timing = MemoryTiming(read_latency=rng.choice((1, 2, 5, 20, 100)))
    bench = KernelBench(config, timing, seed)

    async def expect(ctx, command):
        await bench.command(ctx, command)
        assert not bench.errors
        expected = load_timing(config, timing, command)
        assert bench.dones[-1] - bench.starts[-1] == expected.done, (config, timing, command)

    async def testbench(ctx):
        bench.memory.start(ctx)
        for _ in range(2):
            taps = rng.randint(1, MAX_KERNEL_TAPS)
            steps = random_steps(rng, taps)
            at = 0xC000
            for index, step in enumerate(steps):
                word = step.encode() | rng.randrange(128) << 9  # what is above means nothing
                place = at + index * config.rows
                bench.memory.data[place : place + 2] = word.to_bytes(2, "little")
            await expect(ctx, LoadKernelSteps(address=at, words=len(steps)))
            for _ in range(2):
                command = LoadKernels(
                    address=rng.randrange(BYTES // 4 // config.bus_bytes) * config.bus_bytes,
                    base=rng.randrange(config.weight_depth),
                    term_step=rng.randint(1, 60),
                    steps=len(steps),
                    channels=rng.choice((1, 2, 3, rng.randint(4, 12))),
                    taps=taps,
                )
                await expect(ctx, command)
                logged = [(addr % config.weight_depth, word) for _, addr, word in bench.kernels]
                assert logged == results(config, command, steps, bench.memory.data)
                assert all(bench.dones[-1] - cycle >= 3 for cycle, *_ in bench.kernels)
                assert not bench.weights
                bench.kernels.clear()
                await expect(ctx, LoadWeights(address=0, words=5, base=7))
                assert len(bench.weights) == 5
                assert not bench.kernels
                bench.weights.clear()

    run(bench.component, testbench)


CONFIG = transforming_config(random.Random(1))
GOOD = {"address": 0, "base": 0, "term_step": 9, "steps": 4, "channels": 3, "taps": 2}


@pytest.mark.parametrize(
    ("command", "transforming"),
    [
        (LoadKernels(**{**GOOD, "channels": 0}), True),
        (LoadKernels(**{**GOOD, "taps": 0}), True),
        (LoadKernels(**{**GOOD, "steps": 0}), True),
        (LoadKernels(**{**GOOD, "address": 1}), True),
        (LoadKernelSteps(address=0, words=0), True),
        (LoadKernelSteps(address=1, words=1), True),
        (LoadKernels(**GOOD), False),
        (LoadKernelSteps(address=0, words=1), False),
    ],
)
def test_refuses(command, transforming):
    bench = Bench(replace(CONFIG, transform_at_load=transforming), MemoryTiming(), 0)

    async def testbench(ctx):
        bench.memory.start(ctx)
        await bench.command(ctx, command)
        assert bench.errors == [Status.BAD_COMMAND]
        assert not bench.memory.bursts

    run(bench.component, testbench)
