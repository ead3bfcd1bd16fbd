"""The host's view."""

from tests.hdl.examples import run
from tilewright.hdl.control.counters import Counters
from tilewright.hdl.control.unit import Control
from tilewright.isa import EngineConfig
from tilewright.isa.registers import IDENTITY, OFFSET, Status


async def write(ctx, axil, register, value):
    """Write a register."""
    for name, field in {"awaddr": OFFSET[register], "wdata": value}.items():
        ctx.set(getattr(axil, name), field)
    for name in ("awvalid", "wvalid", "bready"):
        ctx.set(getattr(axil, name), 1)
    while not ctx.get(axil.awready):
        await ctx.tick()
    await ctx.tick()
    ctx.set(axil.awvalid, 0)
    ctx.set(axil.wvalid, 0)
    await ctx.tick()


async def read(ctx, axil, register):
    """Return what a register says."""
    ctx.set(axil.araddr, OFFSET[register])
    ctx.set(axil.arvalid, 1)
    ctx.set(axil.rready, 1)
    while not ctx.get(axil.rvalid):
        await ctx.tick()
        ctx.set(axil.arvalid, 0)
    value = ctx.get(axil.rdata)
    await ctx.tick()
    return value


def test_counters():
    dut = Counters((1, 4))

    async def bench(ctx):
        for events in (0b01, 0b11, 0b01, 0b10):
            ctx.set(dut.events, events)
            await ctx.tick()
        ctx.set(dut.events, 0)
        await ctx.tick().repeat(2 * dut.ROUND)
        shown = {}
        for _ in range(dut.ROUND):
            shown[ctx.get(dut.index)] = ctx.get(dut.value)
            await ctx.tick()
        assert (shown[0], shown[1]) == (3, 8)

    run(dut, bench)


def test_control():
    """The host starts a run, and is told that it is over."""
    dut = Control(EngineConfig(rows=2, cols=2, bus_width=32))

    async def bench(ctx):
        assert await read(ctx, dut.axil, "ID") == IDENTITY
        await write(ctx, dut.axil, "PROGRAM", 0x2000)
        await write(ctx, dut.axil, "COUNT", 5)
        await write(ctx, dut.axil, "INTERRUPT", 0b10)
        ctx.set(dut.quiet, 1)
        ctx.set(dut.boot.ready, 1)
        await write(ctx, dut.axil, "CONTROL", 1)
        while not ctx.get(dut.go):
            await ctx.tick()
        boot = dut.boot.payload
        assert (ctx.get(boot.address), ctx.get(boot.count)) == (0x2000, 5)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.halt)
        ctx.set(dut.finished, 1)
        await ctx.tick()
        ctx.set(dut.finished, 0)
        await ctx.tick()
        assert ctx.get(dut.irq)
        assert await read(ctx, dut.axil, "STATUS") & 0xFF == Status.DONE

    run(dut, bench)
