"""Blocks of memory as bursts on the bus."""

from tests.hdl.examples import run
from tilewright.hdl.bus.bursts import Bursts
from tilewright.hdl.bus.reader import Reader
from tilewright.hdl.bus.writer import Writer
from tilewright.isa import EngineConfig

CONFIG = EngineConfig(rows=4, cols=2, bus_width=32, burst_beats=8, outstanding=2)


def show(ctx, port, **fields):
    """Show a block at a port, one run of rows."""
    for name, value in {"groups": 1, "height": 1, **fields}.items():
        ctx.set(port.payload[name], value)
    ctx.set(port.valid, 1)


def test_bursts():
    """No burst crosses a multiple of 8 beats of 4 bytes, and rows that touch share one."""
    dut = Bursts(CONFIG, count_width=8)

    async def bench(ctx):
        ctx.set(dut.enable, 1)
        ctx.set(dut.o.ready, 1)
        show(ctx, dut.i, address=0x58, height=2, row_beats=5)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        bursts = []
        while not ctx.get(dut.idle):
            if ctx.get(dut.o.valid):
                bursts.append((ctx.get(dut.o.payload.address), ctx.get(dut.o.payload.len) + 1))
            await ctx.tick()
        assert bursts == [(0x58, 2), (0x60, 8)]

    run(dut, bench)


def test_reader():
    dut = Reader(CONFIG)

    async def bench(ctx):
        show(ctx, dut.i, address=0x40, row_beats=3)
        ctx.set(dut.axi.arready, 1)
        ctx.set(dut.o.ready, 1)
        while not ctx.get(dut.axi.arvalid):
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
        assert (ctx.get(dut.axi.araddr), ctx.get(dut.axi.arlen)) == (0x40, 2)
        await ctx.tick()
        assert not ctx.get(dut.quiet), "a burst is in flight"
        for beat in range(3):
            ctx.set(dut.axi.rvalid, 1)
            ctx.set(dut.axi.rdata, 100 + beat)
            ctx.set(dut.axi.rlast, beat == 2)
            assert ctx.get(dut.o.valid)
            assert ctx.get(dut.o.payload) == 100 + beat
            await ctx.tick()
        ctx.set(dut.axi.rvalid, 0)
        assert ctx.get(dut.quiet)

    run(dut, bench)


def test_writer():
    dut = Writer(CONFIG)

    async def bench(ctx):
        show(ctx, dut.i, address=0x40, row_beats=2)
        ctx.set(dut.axi.awready, 1)
        ctx.set(dut.axi.wready, 1)
        ctx.set(dut.i_beats.valid, 1)
        written = []
        for _ in range(12):
            ctx.set(dut.i_beats.payload.data, 7 + len(written))
            ctx.set(dut.i_beats.payload.last, len(written) == 1)
            if ctx.get(dut.axi.wvalid):
                written.append((ctx.get(dut.axi.wdata), ctx.get(dut.axi.wlast)))
                ctx.set(dut.i_beats.valid, len(written) < 2)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
        assert written == [(7, 0), (8, 1)]
        assert not ctx.get(dut.complete), "memory has not confirmed it"
        ctx.set(dut.axi.bvalid, 1)
        await ctx.tick()
        ctx.set(dut.axi.bvalid, 0)
        assert ctx.get(dut.complete)

    run(dut, bench)
