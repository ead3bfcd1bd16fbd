"""Results to memory."""

from tests.hdl.examples import run
from tilewright.hdl.store.pack import Pack
from tilewright.hdl.store.unit import StoreUnit
from tilewright.isa import EngineConfig, Store, encode

CONFIG = EngineConfig(rows=2, cols=2, requantizers=1, bus_width=32, pipelined=False, out_depth=64)


def word(addr):
    """Return the pixel word of two bytes that the output buffer has at an address."""
    return 0x100 * (addr + 1) + addr


def test_pack():
    """A row of three words is two beats of two; what is left over is zero."""
    dut = Pack(CONFIG)

    async def bench(ctx):
        for name, value in {"base": 4, "height": 1, "width": 3, "start": 1}.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.o.ready, 1)
        beats = []
        while len(beats) < 2:
            if ctx.get(dut.o.valid):
                beats.append((ctx.get(dut.o.payload.data), ctx.get(dut.o.payload.last)))
            addr, enable = ctx.get(dut.out_addr), ctx.get(dut.out_enable)
            await ctx.tick()
            if enable:
                ctx.set(dut.out_data, word(addr))
        assert beats == [(word(5) << 16 | word(4), 0), (word(6), 1)]

    run(dut, bench)


def test_store_unit():
    dut = StoreUnit(CONFIG)

    async def bench(ctx):
        command = Store(address=0x80, groups=1, group_stride=4, height=1, width=2, base=10)
        ctx.set(dut.i.payload, int.from_bytes(encode(command), "little"))
        for port in (dut.i.valid, dut.axi.awready, dut.axi.wready):
            ctx.set(port, 1)
        beats = []
        while not ctx.get(dut.done):
            if ctx.get(dut.axi.awvalid):
                assert (ctx.get(dut.axi.awaddr), ctx.get(dut.axi.awlen)) == (0x80, 0)
            if ctx.get(dut.axi.wvalid):
                beats.append(ctx.get(dut.axi.wdata))
            addr, enable = ctx.get(dut.out_addr), ctx.get(dut.out_enable)
            await ctx.tick()
            if enable:
                ctx.set(dut.out_data, word(addr))
            ctx.set(dut.axi.bvalid, bool(beats))
        assert beats == [word(11) << 16 | word(10)]

    run(dut, bench)
