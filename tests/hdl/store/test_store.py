"""The store unit in the Amaranth simulator: exact cycles, placement, faults."""

import random

import pytest
from amaranth.hdl import ResetInserter, Signal

from tests.hdl.fixed_memory import FixedMemory, run
from tilewright.hdl.commands.decode import WAIT_LATENCY
from tilewright.hdl.store.pack import Pack
from tilewright.hdl.store.unit import StoreUnit
from tilewright.isa import EngineConfig, Store, encode
from tilewright.isa.registers import Status
from tilewright.sim.timing.memory import MemoryTiming
from tilewright.sim.timing.store import store_cycles

BYTES = 1 << 16


class Bench:
    """A store unit between an output buffer and a memory, and a record of what it did."""

    def __init__(self, config, timing, seed):
        self.unit = StoreUnit(config)
        self.reset = Signal()
        self.config, self.rng = config, random.Random(seed)
        self.words = [self.rng.getrandbits(8 * config.rows) for _ in range(config.out_depth)]
        self.memory = FixedMemory(
            self.unit.axi,
            bytearray(self.rng.randbytes(BYTES)),
            read_latency=timing.read_latency,
            write_latency=timing.write_latency,
            beat_bytes=config.bus_bytes,
        )
        self.addresses = [0] * Pack.out_latency(config)
        self.starts, self.dones, self.errors = [], [], []

    @property
    def component(self):
        return ResetInserter(self.reset)(self.unit)

    async def step(self, ctx):
        """Go through one cycle."""
        u, memory = self.unit, self.memory
        own = [u.start, u.done, u.error, u.status, u.out_addr]
        _, _, *values = await ctx.tick().sample(*own, *memory.signals())
        start, done, error, status, address = values[:5]
        if start:
            self.starts.append(memory.cycle)
        if done:
            self.dones.append(memory.cycle)
        if error:
            self.errors.append(Status(status))
        self.addresses.append(address)
        self.addresses.pop(0)
        # Address in cycle t, data in cycle t + Pack.out_latency(config).
        ctx.set(u.out_data, self.words[self.addresses[0] % len(self.words)])
        memory.step(ctx, values[len(own) :])

    async def command(self, ctx, command, limit=20_000):
        """Run one command, to its done pulse or an error."""
        bits = command if isinstance(command, int) else int.from_bytes(encode(command), "little")
        ctx.set(self.unit.i.valid, 1)
        ctx.set(self.unit.i.payload, bits)
        starts, dones = len(self.starts), len(self.dones)
        for _ in range(limit):
            await self.step(ctx)
            if len(self.starts) > starts:
                ctx.set(self.unit.i.valid, 0)
            if len(self.dones) > dones or self.errors:
                return
        raise AssertionError(f"no end of {command}")

    def expected(self, command):
        """Return what memory must hold after a command."""
        c, rows, memory = command, self.config.rows, bytearray(self.memory.data)
        pitch = row_bytes(self.config, c.width)
        index = c.base
        for g in range(c.groups):
            for y in range(c.height):
                row = b""
                for _ in range(c.width):
                    row += self.words[index % len(self.words)].to_bytes(rows, "little")
                    index += 1
                at = c.address + g * c.group_stride + y * pitch
                memory[at : at + pitch] = row.ljust(pitch, b"\0")
        return memory


def row_bytes(config, width):
    return -(-width * config.rows // config.bus_bytes) * config.bus_bytes


def random_store(rng, config):
    beat = config.bus_bytes
    width = rng.choice((1, rng.randint(1, 9), rng.randint(1, 60)))
    height, groups = rng.choice(((1, 1), (rng.randint(1, 9), 1), (3, 3), (rng.randint(1, 30), 2)))
    return Store(
        address=rng.randrange(BYTES // 4 // beat) * beat,
        groups=groups,
        group_stride=min(
            height * row_bytes(config, width) + rng.choice((0, beat, 7 * beat)), BYTES // 4
        ),
        height=height,
        width=width,
        base=rng.randrange(65536),
    )


def fits(config, c):
    run_bytes = c.height * row_bytes(config, c.width)
    return c.groups * run_bytes <= 6000 and c.group_stride >= run_bytes


@pytest.mark.parametrize("seed", range(24))
def test_cycles_and_placement_match_the_model(seed):
    rng = random.Random(seed)
    config = EngineConfig(
        rows=rng.choice((2, 4, 8, 16, 32)),
        cols=2,
        bus_width=rng.choice((32, 64, 128)),
        burst_beats=rng.choice((1, 2, 4, 8, 16, 32, 64)),
        out_depth=64,
    )
    timing = MemoryTiming(write_latency=rng.choice((1, 2, 5, 20, 100)))
    bench = Bench(config, timing, seed)

    async def testbench(ctx):
        bench.memory.start(ctx)
        done = 0
        while done < 10:
            command = random_store(rng, config)
            if not fits(config, command):
                continue
            done += 1
            expected = bench.expected(command)
            await bench.command(ctx, command)
            assert not bench.errors
            cycles = store_cycles(config, timing, command)
            assert bench.dones[-1] - bench.starts[-1] == cycles, (config, timing, command)
            assert bench.memory.data == expected, (config, command)
            assert not bench.memory.busy

    run(bench.component, testbench)


CONFIG = EngineConfig(rows=4, cols=3, bus_width=32)
GOOD = {"address": 0, "groups": 1, "group_stride": 0, "height": 1, "width": 1, "base": 0}
BAD = {
    "opcode": 2,
    "no groups": Store(**{**GOOD, "groups": 0}),
    "no rows": Store(**{**GOOD, "height": 0}),
    "no pixels": Store(**{**GOOD, "width": 0}),
    "skewed": Store(**{**GOOD, "address": 1}),
    "skewed stride": Store(**{**GOOD, "group_stride": 2}),
    "reserved": int.from_bytes(encode(Store(**GOOD)), "little") | 1 << 184,
    "last bit": int.from_bytes(encode(Store(**GOOD)), "little") | 1 << 255,
}
LONG = Store(**{**GOOD, "groups": 2, "group_stride": 4096, "width": 200, "base": 9})


async def recover(ctx, bench):
    """Halt, wait for quiet, reset; then a command must run as ever."""
    ctx.set(bench.unit.halt, 1)
    ctx.set(bench.unit.i.valid, 0)
    await bench.step(ctx)
    # What has begun is at most one address more than memory knows of, and goes on at full speed.
    owed = sum(left for _, left, _ in bench.memory.writes) + CONFIG.burst_beats
    begun = len(bench.memory.bursts)
    for _ in range(owed + MemoryTiming().write_latency + 10):
        if ctx.get(bench.unit.quiet):
            break
        await bench.step(ctx)
    assert ctx.get(bench.unit.quiet)
    assert len(bench.memory.bursts) <= begun + 1, "a burst began after the halt"
    assert not bench.memory.busy, "a burst that had begun was not completed"
    ctx.set(bench.reset, 1)
    await bench.step(ctx)
    ctx.set(bench.reset, 0)
    ctx.set(bench.unit.halt, 0)
    bench.errors.clear()
    bench.memory.errors.clear()
    expected = bench.expected(LONG)
    await bench.command(ctx, LONG)
    assert not bench.errors
    assert bench.memory.data == expected
    cycles = store_cycles(CONFIG, MemoryTiming(), LONG)
    assert bench.dones[-1] - bench.starts[-1] == cycles


@pytest.mark.parametrize("name", BAD)
def test_refuses_and_stays_still_until_reset(name):
    bench = Bench(CONFIG, MemoryTiming(), 0)

    async def testbench(ctx):
        bench.memory.start(ctx)
        await bench.command(ctx, BAD[name])
        ctx.set(bench.unit.i.valid, 1)
        for _ in range(20):
            await bench.step(ctx)
        assert bench.errors == [Status.BAD_COMMAND]
        assert len(bench.starts) == 1
        assert not bench.memory.bursts
        await recover(ctx, bench)

    run(bench.component, testbench)


def test_waits_for_the_other_units():
    bench = Bench(CONFIG, MemoryTiming(), 0)

    async def testbench(ctx):
        bench.memory.start(ctx)
        command = Store(**GOOD, wait_load=2, wait_compute=65535)
        ctx.set(bench.unit.i.payload, int.from_bytes(encode(command), "little"))
        ctx.set(bench.unit.i.valid, 1)
        ctx.set(bench.unit.done_compute, 65535)
        for done in (65535, 0, 1):
            ctx.set(bench.unit.done_load, done)
            await bench.step(ctx)
        assert not bench.starts
        ctx.set(bench.unit.done_load, 3)
        ctx.set(bench.unit.done_compute, 65534)
        for _ in range(4):
            await bench.step(ctx)
        assert not bench.starts
        ctx.set(bench.unit.done_compute, 2)
        begin = bench.memory.cycle
        for _ in range(4):
            await bench.step(ctx)
        assert bench.starts == [begin + WAIT_LATENCY]

    run(bench.component, testbench)


@pytest.mark.parametrize("beat", [31, 63, 199])
def test_write_error_stops_the_unit(beat):
    bench = Bench(CONFIG, MemoryTiming(), 0)
    bench.memory.errors = {beat * CONFIG.bus_bytes}

    async def testbench(ctx):
        bench.memory.start(ctx)
        await bench.command(ctx, Store(**{**GOOD, "width": 200}))
        for _ in range(300):
            await bench.step(ctx)
        assert bench.errors == [Status.WRITE_ERROR]
        assert not bench.dones
        await recover(ctx, bench)

    run(bench.component, testbench)


@pytest.mark.parametrize("after", [1, 3, 4, 5, 6, 7, 20, 60])
def test_halt_completes_the_bursts_that_have_begun(after):
    bench = Bench(CONFIG, MemoryTiming(), 0)

    async def testbench(ctx):
        bench.memory.start(ctx)
        ctx.set(bench.unit.i.payload, int.from_bytes(encode(LONG), "little"))
        ctx.set(bench.unit.i.valid, 1)
        for _ in range(after):
            await bench.step(ctx)
        await recover(ctx, bench)

    run(bench.component, testbench)
