"""The reader in the Amaranth simulator: order, bursts, limits, halt, errors."""

import random

import pytest

from tests.hdl.fixed_memory import FixedMemory, run
from tilewright.hdl.bus.reader import Reader
from tilewright.isa import EngineConfig

BYTES = 1 << 16


class Bench:
    def __init__(self, config, latency, seed):
        self.reader, self.rng = Reader(config), random.Random(seed)
        self.config = config
        self.memory = FixedMemory(
            self.reader.axi,
            bytearray(self.rng.randbytes(BYTES)),
            read_latency=latency,
            write_latency=1,
            beat_bytes=config.bus_bytes,
        )
        self.beats, self.errors, self.read, self.most = [], 0, 0, 0

    async def step(self, ctx):
        r = self.reader
        own = [r.o.valid, r.o.ready, r.o.payload, r.error, r.beat]
        _, _, *values = await ctx.tick().sample(*own, *self.memory.signals())
        valid, ready, payload, error, beat = values[:5]
        if valid and ready:
            self.beats.append(payload)
        self.errors += error
        self.read += beat
        self.memory.step(ctx, values[5:])
        self.most = max(self.most, len(self.memory.reads))


def block_of(rng, config):
    beat = config.bus_bytes
    height, row_beats = rng.choice(((1, 90), (40, 1), (9, 7), (rng.randint(1, 9), 5)))
    return {
        "address": rng.randrange(512) * beat,
        "groups": rng.randint(1, 3),
        "stride": (height * row_beats + rng.choice((0, 1, 30))) * beat,
        "height": height,
        "row_beats": row_beats,
    }


def beats_of(block, config, data):
    """Return the addresses of a block's beats."""
    run_beats = block["height"] * block["row_beats"]
    return [
        block["address"] + g * block["stride"] + i * config.bus_bytes
        for g in range(block["groups"])
        for i in range(run_beats)
    ]


def bursts_of(addresses, config, block):
    """Return the bursts (address, beats) that a block must be cut into, the long way."""
    size, run_beats = config.burst_beats * config.bus_bytes, block["height"] * block["row_beats"]
    bursts = []
    for i, address in enumerate(addresses):
        if i % run_beats == 0 or address % size == 0:
            bursts.append([address, 0])
        bursts[-1][1] += 1
    return [("r", *burst) for burst in bursts]


@pytest.mark.parametrize("seed", range(12))
def test_delivers_blocks_in_order_under_back_pressure(seed):
    rng = random.Random(seed)
    config = EngineConfig(
        bus_width=rng.choice((32, 64, 128)),
        burst_beats=rng.choice((1, 4, 16, 64)),
        outstanding=rng.choice((1, 2, 5, 16)),
    )
    bench = Bench(config, rng.choice((1, 7, 40)), seed)
    pace = rng.choice((1.0, 0.7, 0.2))

    async def testbench(ctx):
        bench.memory.start(ctx)
        for _ in range(3):
            block = block_of(rng, config)
            addresses = beats_of(block, config, bench.memory.data)
            ctx.set(bench.reader.i.payload, block)
            ctx.set(bench.reader.i.valid, 1)
            while len(bench.beats) < len(addresses):
                ctx.set(bench.reader.o.ready, rng.random() < pace)
                await bench.step(ctx)
                ctx.set(bench.reader.i.valid, 0)
            await bench.step(ctx)
            assert bench.beats == [
                int.from_bytes(bench.memory.data[a : a + config.bus_bytes], "little")
                for a in addresses
            ]
            assert bench.memory.bursts == bursts_of(addresses, config, block)
            assert bench.read == len(addresses)
            assert ctx.get(bench.reader.quiet)
            bench.beats, bench.memory.bursts, bench.read = [], [], 0
        assert bench.most <= config.outstanding
        assert bench.errors == 0

    run(bench.reader, testbench)


def test_reports_every_beat_with_an_error():
    config = EngineConfig(bus_width=32, burst_beats=8)
    bench = Bench(config, 3, 0)
    bench.memory.errors = {4 * i for i in (0, 7, 8, 20)}

    async def testbench(ctx):
        bench.memory.start(ctx)
        block = {"address": 0, "groups": 1, "stride": 0, "height": 1, "row_beats": 21}
        ctx.set(bench.reader.i.payload, block)
        ctx.set(bench.reader.i.valid, 1)
        ctx.set(bench.reader.o.ready, 1)
        for _ in range(60):
            await bench.step(ctx)
            ctx.set(bench.reader.i.valid, 0)
        assert bench.errors == 4
        assert len(bench.beats) == 21

    run(bench.reader, testbench)


@pytest.mark.parametrize("after", range(1, 30, 2))
def test_halt_drops_and_becomes_quiet_though_nobody_is_ready(after):
    config = EngineConfig(bus_width=32, burst_beats=8, outstanding=3)
    bench = Bench(config, 10, 0)

    async def testbench(ctx):
        bench.memory.start(ctx)
        block = {"address": 0, "groups": 1, "stride": 0, "height": 1, "row_beats": 200}
        ctx.set(bench.reader.i.payload, block)
        ctx.set(bench.reader.i.valid, 1)
        for _ in range(after):
            await bench.step(ctx)
        ctx.set(bench.reader.i.valid, 0)
        ctx.set(bench.reader.halt, 1)
        before, begun = len(bench.beats), len(bench.memory.bursts)
        for _ in range(3 * 8 + 10 + 5):
            await bench.step(ctx)
        assert ctx.get(bench.reader.quiet)
        assert not bench.memory.busy
        assert len(bench.memory.bursts) <= begun + 1
        for _ in range(20):  # and stays quiet
            await bench.step(ctx)
            assert ctx.get(bench.reader.quiet)
        assert len(bench.beats) == before

    run(bench.reader, testbench)
