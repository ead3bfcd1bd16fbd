"""The load unit in the Amaranth simulator: exact cycles, placement, faults."""

import random

import pytest
from amaranth.hdl import ResetInserter, Signal

from tests.hdl.fixed_memory import FixedMemory, run
from tilewright.hdl.commands.decode import WAIT_LATENCY
from tilewright.hdl.load.unit import LoadUnit
from tilewright.isa import (
    ISA_VERSION,
    Check,
    End,
    EngineConfig,
    Fetch,
    LoadActivations,
    LoadOffsets,
    LoadTable,
    LoadWeights,
    Unit,
    encode,
)
from tilewright.isa.registers import Status
from tilewright.isa.widths import load_addr_width
from tilewright.sim.timing.load import load_timing
from tilewright.sim.timing.memory import MemoryTiming

BYTES = 1 << 16


class Bench:
    """A load unit, its memory, and a record of what it did."""

    def __init__(self, config, timing, seed):
        self.unit = LoadUnit(config)
        self.reset = Signal()
        self.config, self.rng = config, random.Random(seed)
        data = bytearray(self.rng.randbytes(BYTES))
        self.memory = FixedMemory(
            self.unit.axi,
            data,
            read_latency=timing.read_latency,
            write_latency=timing.write_latency,
            beat_bytes=config.bus_bytes,
        )
        self.act, self.weights, self.fetched, self.commits = [], [], [], []
        self.offsets = []
        self.starts, self.dones, self.errors, self.finished = [], [], [], []

    @property
    def component(self):
        return ResetInserter(self.reset)(self.unit)

    async def step(self, ctx):
        """Go through one cycle."""
        u, memory = self.unit, self.memory
        o = u.offset_write if self.config.offset_depth else None
        own = [
            u.start, u.done, u.error, u.status, u.finished,
            u.act_write.valid, u.act_write.lane, u.act_write.addr, u.act_write.data,
            u.weight_write.valid, u.weight_write.addr, u.weight_write.data,
            *(s for p in u.fetch for s in (p.valid, p.data, p.commit, p.count)),
            *((o.valid, o.addr, o.data) if o is not None else ()),
        ]  # fmt: skip
        _, _, *values = await ctx.tick().sample(*own, *memory.signals())
        cycle = memory.cycle
        start, done, error, status, finished = values[:5]
        if start:
            self.starts.append(cycle)
        if done:
            self.dones.append(cycle)
        if error:
            self.errors.append(Status(status))
        if finished:
            self.finished.append(cycle)
        if values[5]:
            self.act.append((cycle, *values[6:9]))
        if values[9]:
            self.weights.append((cycle, *values[10:12]))
        for unit in Unit:
            valid, data, commit, count = values[12 + 4 * unit : 16 + 4 * unit]
            if valid:
                self.fetched.append((unit, data))
            if commit:
                self.commits.append((cycle, unit, count))
        if o is not None and values[24]:
            self.offsets.append((cycle, *values[25:27]))
        memory.step(ctx, values[len(own) :])

    async def command(self, ctx, command, limit=20_000):
        """Run one command; return its start and done cycles."""
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


def row_bytes(config, width, size):
    return -(-width * size // config.bus_bytes) * config.bus_bytes


def random_load(rng, config):
    """Return a load command that fits the memory."""
    beat = config.bus_bytes
    kinds = (LoadActivations, LoadActivations, LoadActivations, LoadWeights, Fetch)
    kind = rng.choice((*kinds, LoadOffsets) if config.offset_depth else kinds)
    address = rng.randrange(BYTES // 4 // beat) * beat
    if kind in (LoadWeights, LoadOffsets):
        return kind(address=address, words=rng.randint(1, 200), base=rng.randrange(65536))
    if kind is Fetch:
        count = rng.randint(1, config.queue_depth)
        return kind(address=address, unit=rng.choice(tuple(Unit)), count=count)
    width = rng.choice((1, rng.randint(1, 5), rng.randint(1, 3) * config.cols + 1, 20))
    height, groups = rng.choice(((1, 1), (rng.randint(1, 9), 1), (3, 3), (rng.randint(1, 30), 2)))
    size = rng.choice((0, *config.pixel_sizes))
    stride = height * row_bytes(config, width, size or config.rows) + rng.choice(
        (0, beat, 7 * beat)
    )
    return kind(
        address=address,
        groups=groups,
        group_stride=stride,
        height=height,
        width=width,
        base=rng.randrange(65536),
        row_step=rng.randrange(65536),
        group_step=rng.randrange(65536),
        pixel=size.bit_length(),
    )


def random_config(rng):
    rows = rng.choice((2, 4, 8, 16, 32))
    bus_width = rng.choice((32, 64, 128))
    return EngineConfig(
        rows=rows,
        cols=rng.randint(2, 7),
        bus_width=bus_width,
        burst_beats=rng.choice((1, 2, 4, 8, 16, 32, 64)),
        outstanding=rng.choice((1, 2, 3, 4, 8, 16)),
        offset_depth=rng.choice((0, 64, 65536)),
    )


def check_placement(config, command, bench):
    """Compare what was written with what the command says; clear the record."""
    data, size = bench.memory.data, config.rows

    def word(at, size=size):
        return int.from_bytes(data[at : at + size], "little")

    words = 1 << load_addr_width(config)  # in the larger buffer
    match command:
        case LoadActivations() as c:
            expected, size = [], c.pixel_bytes or size
            for g in range(c.groups):
                for y in range(c.height):
                    row = c.address + g * c.group_stride + y * row_bytes(config, c.width, size)
                    base = c.base + g * c.group_step + y * c.row_step
                    expected += [
                        (
                            x % config.cols,
                            (base + x // config.cols) % words,
                            word(row + x * size, size),
                        )
                        for x in range(c.width)
                    ]
            assert [write[1:] for write in bench.act] == expected
            for a, b in zip(bench.act, bench.act[1:], strict=False):
                assert b[0] - a[0] >= (2 if a[1] == b[1] else 1), "a lane was hit twice in a row"
            assert bench.dones[-1] - bench.act[-1][0] >= 3
        case LoadWeights() | LoadOffsets() as c:
            writes = bench.weights if isinstance(c, LoadWeights) else bench.offsets
            assert [write[1:] for write in writes] == [
                ((c.base + i) % words, word(c.address + i * size)) for i in range(c.words)
            ]
        case Fetch() as c:
            beat, bytes_ = config.bus_bytes, c.count * Unit(c.unit).least_bytes
            assert bench.fetched == [
                (c.unit, int.from_bytes(data[at : at + beat], "little"))
                for at in range(c.address, c.address + bytes_, beat)
            ]
            assert [commit[1:] for commit in bench.commits] == [(c.unit, c.count)]
    logs = (bench.act, bench.weights, bench.offsets, bench.fetched, bench.commits)
    assert sum(map(bool, logs)) == 1 + isinstance(command, Fetch), "written where it is not meant"
    for log in logs:
        log.clear()


@pytest.mark.parametrize("seed", range(32))
def test_cycles_and_placement_match_the_model(seed):
    rng = random.Random(seed)
    config = random_config(rng)
    timing = MemoryTiming(read_latency=rng.choice((1, 2, 5, 20, 100)))
    bench = Bench(config, timing, seed)

    async def testbench(ctx):
        bench.memory.start(ctx)
        for _ in range(10):
            command = random_load(rng, config)
            await bench.command(ctx, command)
            assert not bench.errors
            expected = load_timing(config, timing, command)
            assert bench.dones[-1] - bench.starts[-1] == expected.done, (config, timing, command)
            if isinstance(command, Fetch):
                commit = bench.commits[-1][0] - bench.starts[-1]
                assert commit == expected.commit, (config, timing, command)
            check_placement(config, command, bench)
            assert not bench.memory.busy

    run(bench.component, testbench)


CONFIG = EngineConfig(rows=4, cols=3, bus_width=32)


def test_commands_without_data_take_the_documented_cycles():
    bench = Bench(CONFIG, MemoryTiming(), 0)

    async def testbench(ctx):
        bench.memory.start(ctx)
        for command in (Check(digest=CONFIG.digest), End()):
            await bench.command(ctx, command)
            assert not bench.errors
            assert bench.dones[-1] - bench.starts[-1] == LoadUnit.CHECK
        assert bench.finished == bench.dones[-1:]

    run(bench.component, testbench)


def test_waits_for_the_other_units():
    bench = Bench(CONFIG, MemoryTiming(), 0)

    async def testbench(ctx):
        bench.memory.start(ctx)
        ctx.set(bench.unit.done_compute, 65534)
        ctx.set(bench.unit.done_store, 3)
        ctx.set(
            bench.unit.i.payload,
            int.from_bytes(encode(End(wait_compute=1, wait_store=3)), "little"),
        )
        ctx.set(bench.unit.i.valid, 1)
        for done in (65534, 65535, 0):
            ctx.set(bench.unit.done_compute, done)
            await bench.step(ctx)
        assert not bench.starts
        ctx.set(bench.unit.done_compute, 1)
        begin = bench.memory.cycle
        for _ in range(4):
            await bench.step(ctx)
        assert bench.starts == [begin + WAIT_LATENCY]

    run(bench.component, testbench)


def test_boot_fetches_without_start_and_done():
    bench = Bench(CONFIG, MemoryTiming(), 0)

    async def testbench(ctx):
        bench.memory.start(ctx)
        ctx.set(bench.unit.base, 0x2000)
        ctx.set(bench.unit.boot.valid, 1)
        ctx.set(bench.unit.boot.payload, {"address": 64, "count": CONFIG.queue_depth})
        ctx.set(bench.unit.i.payload, (1 << 256) - 1)
        await bench.step(ctx)
        ctx.set(bench.unit.boot.valid, 0)
        for _ in range(400):
            await bench.step(ctx)
        assert bench.starts == bench.dones == bench.errors == []
        boot = Fetch(address=64, unit=0, count=CONFIG.queue_depth)
        assert bench.commits[-1][0] == load_timing(CONFIG, MemoryTiming(), boot).commit
        assert bench.memory.bursts[0][1] == 0x2040

    run(bench.component, testbench)


GOOD = {
    "address": 0, "groups": 1, "group_stride": 0, "height": 1, "width": 1,
    "base": 0, "row_step": 0, "group_step": 0,
}  # fmt: skip
BAD = {
    "opcode": 9,
    "opcode 0": 0,
    "digest": Check(digest=CONFIG.digest ^ 1),
    "version": Check(digest=CONFIG.digest, version=ISA_VERSION + 1),
    "no groups": LoadActivations(**{**GOOD, "groups": 0}),
    "no rows": LoadActivations(**{**GOOD, "height": 0}),
    "no pixels": LoadActivations(**{**GOOD, "width": 0}),
    "skewed": LoadActivations(**{**GOOD, "address": 2}),
    "skewed stride": LoadActivations(**{**GOOD, "group_stride": 1}),
    "pixel": LoadActivations(**{**GOOD, "pixel": 1}),  # rows are no wider than the bus
    "no words": LoadWeights(address=0, words=0, base=0),
    "table": LoadTable(address=0, words=256, base=0),  # the engine has none
    "offsets": LoadOffsets(address=0, words=1, base=0),  # nor these
    "no commands": Fetch(address=0, unit=0, count=0),
    "too many commands": Fetch(address=0, unit=0, count=CONFIG.queue_depth + 1),
    "unit": Fetch(address=0, unit=3, count=1),
    **{
        f"reserved {kind.OPCODE}": kind.OPCODE | 1 << bit
        for kind, bit in ((End, 56), (Fetch, 106), (LoadWeights, 120), (LoadActivations, 219))
    },
    "last bit": LoadActivations.OPCODE | 1 << 255,
}


@pytest.mark.parametrize("name", BAD)
def test_refuses_and_stays_still_until_reset(name):
    bench = Bench(CONFIG, MemoryTiming(), 0)
    status = Status.CONFIG_MISMATCH if name in ("digest", "version") else Status.BAD_COMMAND

    async def testbench(ctx):
        bench.memory.start(ctx)
        await bench.command(ctx, BAD[name])
        assert bench.errors == [status]
        ctx.set(bench.unit.i.valid, 1)
        for _ in range(20):
            await bench.step(ctx)
        assert bench.errors == [status]
        assert len(bench.starts) == 1
        assert not bench.memory.bursts
        await recover(ctx, bench)

    run(bench.component, testbench)


async def recover(ctx, bench):
    """Halt, wait for quiet, reset; then a command must run as ever."""
    ctx.set(bench.unit.halt, 1)
    ctx.set(bench.unit.i.valid, 0)
    while not ctx.get(bench.unit.quiet):
        await bench.step(ctx)
    assert not bench.memory.busy
    ctx.set(bench.reset, 1)
    await bench.step(ctx)
    ctx.set(bench.reset, 0)
    ctx.set(bench.unit.halt, 0)
    for log in (bench.errors, bench.act, bench.weights, bench.fetched, bench.commits):
        log.clear()
    bench.memory.errors.clear()
    command = LoadActivations(**{**GOOD, "groups": 2, "group_stride": 4096, "width": 60})
    await bench.command(ctx, command)
    assert not bench.errors
    expected = load_timing(CONFIG, MemoryTiming(), command)
    assert bench.dones[-1] - bench.starts[-1] == expected.done
    check_placement(CONFIG, command, bench)


@pytest.mark.parametrize("beat", [0, 5, 31, 32, 63])
def test_read_error_stops_the_unit_and_commits_nothing(beat):
    bench = Bench(CONFIG, MemoryTiming(), 0)
    bench.memory.errors = {beat * CONFIG.bus_bytes}

    async def testbench(ctx):
        bench.memory.start(ctx)
        await bench.command(ctx, Fetch(address=0, unit=1, count=4))  # 64 beats, 2 bursts
        for _ in range(100):
            await bench.step(ctx)
        assert set(bench.errors) == {Status.READ_ERROR}
        assert bench.commits == bench.dones == []
        await recover(ctx, bench)

    run(bench.component, testbench)


@pytest.mark.parametrize("after", [1, 3, 4, 6, 24, 30, 50])
def test_halt_drops_what_is_in_flight(after):
    bench = Bench(CONFIG, MemoryTiming(), 0)

    async def testbench(ctx):
        bench.memory.start(ctx)
        bits = int.from_bytes(encode(LoadWeights(address=0, words=500, base=0)), "little")
        ctx.set(bench.unit.i.payload, bits)
        ctx.set(bench.unit.i.valid, 1)
        for _ in range(after):
            await bench.step(ctx)
        await recover(ctx, bench)

    run(bench.component, testbench)
