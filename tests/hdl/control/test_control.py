"""Control and status: registers, runs, faults, resets, counters."""

import gc
import random

import pytest

from tests.hdl.fixed_memory import run
from tilewright.hdl.control.counters import Counters
from tilewright.hdl.control.unit import Control
from tilewright.isa import ISA_VERSION, EngineConfig, Unit
from tilewright.isa.registers import IDENTITY, OFFSET, REGISTERS, Status

CONFIG = EngineConfig(bus_width=64)
START, RESET, STOP = 1, 2, 4


class Bench:
    """A host for the control block, and an engine that does what the test says."""

    def __init__(self):
        self.dut = Control(CONFIG)
        self.cycle, self.gos, self.resets, self.halted = 0, [], [], []
        self.last_boot = None

    async def step(self, ctx, count=1):
        d = self.dut
        for _ in range(count):
            self.halted.append(ctx.get(d.halt))
            if ctx.get(d.go):
                self.gos.append(self.cycle)
                self.last_boot = (ctx.get(d.boot.p.address), ctx.get(d.boot.p.count))
            if ctx.get(d.unit_reset) and self.cycle:  # not the one of power-up
                self.resets.append(self.cycle)
            await ctx.tick()
            self.cycle += 1

    async def write(self, ctx, name, value):
        axil = self.dut.axil
        ctx.set(axil.awaddr, OFFSET[name])
        ctx.set(axil.wdata, value)
        ctx.set(axil.wstrb, 15)
        ctx.set(axil.awvalid, 1)
        ctx.set(axil.wvalid, 1)
        ctx.set(axil.bready, 1)
        assert ctx.get(axil.awready)
        assert ctx.get(axil.wready)
        await self.step(ctx)
        ctx.set(axil.awvalid, 0)
        ctx.set(axil.wvalid, 0)
        assert ctx.get(axil.bvalid)
        assert ctx.get(axil.bresp) == 0
        await self.step(ctx)

    async def read(self, ctx, name):
        axil = self.dut.axil
        ctx.set(axil.araddr, OFFSET[name])
        ctx.set(axil.arvalid, 1)
        assert ctx.get(axil.arready)
        await self.step(ctx)
        ctx.set(axil.arvalid, 0)
        for _ in range(Counters.ROUND + 3):
            if ctx.get(axil.rvalid):
                break
            await self.step(ctx)
        assert ctx.get(axil.rvalid), "no answer in time"
        value = ctx.get(axil.rdata)
        ctx.set(axil.rready, 1)
        await self.step(ctx)
        ctx.set(axil.rready, 0)
        return value

    async def status(self, ctx):
        """Return the fields of STATUS."""
        value = await self.read(ctx, "STATUS")
        return Status(value & 0xFF), value >> 8 & 3, value >> 16

    async def pulse(self, ctx, signal, value=1):
        ctx.set(signal, value)
        await self.step(ctx)
        ctx.set(signal, 0)

    async def begin(self, ctx):
        """Set up and start a run."""
        ctx.set(self.dut.quiet, 1)
        ctx.set(self.dut.boot.ready, 1)
        await self.write(ctx, "INTERRUPT", 2)
        await self.write(ctx, "CONTROL", START)
        await self.step(ctx, 4)
        assert len(self.gos) == 1
        assert not ctx.get(self.dut.halt)


def bench(test):
    """Run an async test with a bench in the simulator."""

    def wrapper():
        b = Bench()

        async def testbench(ctx):
            await test(b, ctx)

        run(b.dut, testbench)

    wrapper.__name__ = test.__name__
    return wrapper


@bench
async def test_registers_read_as_documented(b, ctx):
    constants = {"ID": IDENTITY, "VERSION": ISA_VERSION, "DIGEST": CONFIG.digest}
    written = {
        "BASE": (0x12345FFF, 0x12345000),
        "PROGRAM": (0xDEADBEE0, 0xDEADBEE0),
        "COUNT": (0xFFFF0009, 9),
        "WATCHDOG": (0xFFFFFFFF, 0xFFFFFFFF),
        "INTERRUPT": (2, 2),
    }
    for register in REGISTERS:
        assert await b.read(ctx, register.name) == constants.get(register.name, 0)
    for register in REGISTERS:
        if register.access == "RO":
            await b.write(ctx, register.name, 0xFFFFFFFF)
    for name, (value, _) in written.items():
        await b.write(ctx, name, value)
    for register in REGISTERS:
        expected = written[register.name][1] if register.name in written else 0
        assert await b.read(ctx, register.name) == constants.get(register.name, expected)
    assert ctx.get(b.dut.base) == 0x12345000
    assert not ctx.get(b.dut.irq)
    assert not b.gos


@bench
async def test_run_resets_boots_and_completes(b, ctx):
    await b.write(ctx, "PROGRAM", 0x1240)
    await b.write(ctx, "COUNT", 5)
    await b.begin(ctx)
    assert b.last_boot == (0x1240, 5)
    assert b.resets == [b.gos[0] - 2]  # the units are in reset in the cycle between
    assert b.halted[b.resets[0]]
    assert await b.status(ctx) == (Status.RUNNING, 0, 0)
    await b.write(ctx, "CONTROL", START)  # ignored while running
    await b.pulse(ctx, b.dut.finished)
    assert ctx.get(b.dut.irq)
    assert await b.status(ctx) == (Status.DONE, 0, 0)
    await b.write(ctx, "INTERRUPT", 3)
    assert not ctx.get(b.dut.irq)
    assert len(b.gos) == 1
    await b.write(ctx, "CONTROL", START)
    await b.step(ctx, 4)
    assert len(b.gos) == 2


@bench
async def test_counters_count_every_event_once(b, ctx):
    d, rng = b.dut, random.Random(1)
    await b.begin(ctx)
    single = ("steps", "stall_load", "stall_store", "stall_command", "stall_result",
              "read_beat", "write_beat")  # fmt: skip
    names = ("COMPUTE_STEPS", "STALL_LOAD", "STALL_STORE", "STALL_COMMAND", "STALL_RESULT",
             "BYTES_READ", "BYTES_WRITTEN")  # fmt: skip
    counts = dict.fromkeys(OFFSET, 0)
    bursts = [rng.random() for _ in range(8)]
    for cycle in range(1500):
        share = bursts[cycle // 200]
        for signal, name in zip(single, names, strict=True):
            value = rng.random() < share
            ctx.set(getattr(d, signal), value)
            counts[name] += value * (8 if "BYTES" in name else 1)
        for signal, suffix in (("busy", "BUSY"), ("done", "DONE")):
            value = 7 if share > 0.8 else rng.randrange(8)
            ctx.set(getattr(d, signal), value)
            for unit in Unit:
                counts[f"{unit.name}_{suffix}"] += value >> unit & 1
        await b.step(ctx)
    for signal in (*single, "busy", "done"):
        ctx.set(getattr(d, signal), 0)
    last = b.cycle
    await b.pulse(ctx, d.finished)
    counts["CYCLES"] = last - b.gos[0] + 1
    await b.step(ctx, Counters.ROUND)
    for register in REGISTERS:
        if register.offset >= OFFSET["CYCLES"]:
            assert await b.read(ctx, register.name) == counts[register.name], register.name
    await b.write(ctx, "CONTROL", RESET)
    await b.step(ctx, 4)
    for register in REGISTERS:
        if register.offset >= OFFSET["CYCLES"]:
            assert await b.read(ctx, register.name) == 0, register.name


@pytest.mark.parametrize("unit", Unit)
def test_fault_halts_names_the_command_and_needs_a_reset(unit):
    @bench
    async def test(b, ctx):
        d = b.dut
        await b.begin(ctx)
        for u in Unit:
            ctx.set(d.done_count[u], 10 + u)
        ctx.set(d.fault[unit].status, Status.WRITE_ERROR)
        await b.pulse(ctx, d.fault[unit].error)
        assert ctx.get(d.halt)
        assert ctx.get(d.irq)
        ctx.set(d.done_count[unit], 99)
        assert await b.status(ctx) == (Status.WRITE_ERROR, unit, 10 + unit)
        assert await b.read(ctx, "ERROR_ADDRESS") == (10 + unit) * unit.least_bytes
        await b.write(ctx, "CONTROL", START)  # refused
        await b.step(ctx, 4)
        assert len(b.gos) == 1
        # A soft reset waits until the bus is quiet.
        ctx.set(d.quiet, 0)
        await b.write(ctx, "CONTROL", RESET)
        await b.step(ctx, 50)
        assert len(b.resets) == 1
        ctx.set(d.quiet, 1)
        await b.step(ctx, 4)
        assert len(b.resets) == 2
        assert await b.status(ctx) == (Status.IDLE, 0, 0)
        assert not ctx.get(d.irq)
        await b.write(ctx, "CONTROL", START)
        await b.step(ctx, 4)
        assert len(b.gos) == 2

    test()


@bench
async def test_first_unit_is_named_when_several_fail(b, ctx):
    await b.begin(ctx)
    ctx.set(b.dut.fault[Unit.STORE].error, 1)
    ctx.set(b.dut.fault[Unit.STORE].status, Status.WRITE_ERROR)
    ctx.set(b.dut.fault[Unit.COMPUTE].status, Status.BAD_COMMAND)
    await b.pulse(ctx, b.dut.fault[Unit.COMPUTE].error)
    assert await b.status(ctx) == (Status.BAD_COMMAND, Unit.COMPUTE, 0)


@bench
async def test_overflow_is_a_bad_command_of_the_load_unit(b, ctx):
    await b.begin(ctx)
    ctx.set(b.dut.done_count[Unit.LOAD], 7)
    await b.pulse(ctx, b.dut.overflow)
    assert await b.status(ctx) == (Status.BAD_COMMAND, Unit.LOAD, 7)


@bench
async def test_watchdog_bites_in_the_documented_cycle(b, ctx):
    await b.write(ctx, "WATCHDOG", 100)
    await b.begin(ctx)
    await b.step(ctx, 60)
    await b.pulse(ctx, b.dut.done, 1 << Unit.STORE)
    ctx.set(b.dut.busy, 1 << Unit.COMPUTE)
    for _ in range(101):
        await b.step(ctx)
        assert not ctx.get(b.dut.halt)
    await b.step(ctx)
    assert ctx.get(b.dut.halt)
    assert await b.status(ctx) == (Status.WATCHDOG, Unit.COMPUTE, 0)


@bench
async def test_watchdog_of_zero_never_bites(b, ctx):
    await b.begin(ctx)
    await b.step(ctx, 500)
    assert await b.status(ctx) == (Status.RUNNING, 0, 0)


@bench
async def test_stop_halts(b, ctx):
    await b.begin(ctx)
    await b.write(ctx, "CONTROL", STOP)
    assert ctx.get(b.dut.halt)
    assert ctx.get(b.dut.irq)
    assert await b.status(ctx) == (Status.STOPPED, 0, 0)


@bench
async def test_reset_in_the_middle_of_a_run(b, ctx):
    await b.begin(ctx)
    ctx.set(b.dut.quiet, 0)
    await b.write(ctx, "CONTROL", RESET)
    assert ctx.get(b.dut.halt)
    await b.step(ctx, 20)
    ctx.set(b.dut.quiet, 1)
    await b.step(ctx, 4)
    assert await b.status(ctx) == (Status.IDLE, 0, 0)
    assert len(b.gos) == 1


@bench
async def test_reset_overtakes_a_start_that_waits(b, ctx):
    ctx.set(b.dut.boot.ready, 1)
    await b.write(ctx, "CONTROL", START)
    await b.write(ctx, "CONTROL", RESET)
    ctx.set(b.dut.quiet, 1)
    await b.step(ctx, 10)
    assert not b.gos
    assert await b.status(ctx) == (Status.IDLE, 0, 0)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("weights", [(), (1,) * 17])
def test_rejects_numbers_of_counters(weights):
    with pytest.raises(ValueError, match=r"weights must have 1\.\.16 entries, not"):
        Counters(weights)
    gc.collect()  # of the half-made component, while its warning is filtered
