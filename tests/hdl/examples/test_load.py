"""Memory to buffers."""

from tests.hdl.examples import run
from tilewright.hdl.load.kernels import KernelTransform
from tilewright.hdl.load.unit import LoadUnit
from tilewright.hdl.load.unpack import Unpack
from tilewright.hdl.load.walk import Walk
from tilewright.hdl.load.widen import Widen
from tilewright.isa import EngineConfig, LoadWeights, encode
from tilewright.isa.kernel_steps import KernelStep


def test_unpack():
    """A beat of 64 bits is two words of four bytes."""
    dut = Unpack(EngineConfig(rows=4, cols=2, bus_width=64))

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, 0x8877665544332211)
        words = []
        for _ in range(4):
            taken = ctx.get(dut.i.valid) and ctx.get(dut.i.ready)
            await ctx.tick()
            if taken:
                ctx.set(dut.i.valid, 0)
            if ctx.get(dut.valid):
                words.append(ctx.get(dut.word))
        assert words == [0x44332211, 0x88776655]

    run(dut, bench)


def test_walk():
    """Pixels go to lane after lane, rows to where they begin."""
    dut = Walk(EngineConfig(rows=2, cols=2, bus_width=32))

    async def bench(ctx):
        shape = {"groups": 1, "height": 2, "width": 3, "base": 8, "row_step": 4}
        for name, value in {"lanes": 1, "start": 1, **shape}.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick()
        ctx.set(dut.take, 1)
        places = []
        while not ctx.get(dut.final):
            await ctx.tick()
            places.append((ctx.get(dut.addr), ctx.get(dut.lane)))
        assert places == [(8, 0), (8, 1), (9, 0), (12, 0), (12, 1), (13, 0)]

    run(dut, bench)


def test_widen():
    """Pixels of one byte become words of two beats."""
    dut = Widen(EngineConfig(rows=8, cols=2, bus_width=32))

    async def bench(ctx):
        ctx.set(dut.pixel, 1)
        await ctx.tick()
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, 0x44332211)
        ctx.set(dut.o.ready, 1)
        beats = []
        for _ in range(9):
            if ctx.get(dut.o.valid):
                beats.append(ctx.get(dut.o.payload))
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
        assert beats == [0x11, 0, 0x22, 0, 0x33, 0, 0x44, 0]

    run(dut, bench)


def test_kernel_transform():
    """Of two taps, twice the first and less the second."""
    config = EngineConfig(
        rows=2, cols=2, data_width=13, kernel_width=13, partial_depth=64, transform_at_load=True
    )
    dut = KernelTransform(config)

    async def bench(ctx):
        steps = (KernelStep(tap=0, shift=1, first=1), KernelStep(tap=1, negative=1, write=1))
        for place, step in enumerate(steps):
            for name, value in {"valid": 1, "addr": place, "data": step.encode()}.items():
                ctx.set(getattr(dut.step_write, name), value)
            await ctx.tick()
        ctx.set(dut.step_write.valid, 0)
        for name, value in {"start": 1, "base": 9, "term_step": 1, "steps": 2, "ends": 0}.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for tap in range(2):
            ctx.set(dut.take, 1)
            ctx.set(dut.last, tap == 1)
            await ctx.tick()
            ctx.set(dut.word, (10, 3)[tap] | (100, 127)[tap] << 8)
        ctx.set(dut.take, 0)
        while not ctx.get(dut.o.valid):
            await ctx.tick()
        bits = ctx.get(dut.o.data)
        assert ctx.get(dut.o.addr) == 9
        assert (bits & 0x1FFF, bits >> 13) == (2 * 10 - 3, 2 * 100 - 127)

    run(dut, bench)


def test_load_unit():
    """Four weight words of four bytes come in a burst of four beats."""
    config = EngineConfig(rows=4, cols=2, bus_width=32)
    dut = LoadUnit(config)

    async def bench(ctx):
        command = LoadWeights(address=0x100, words=4, base=6)
        ctx.set(dut.i.payload, int.from_bytes(encode(command), "little"))
        ctx.set(dut.i.valid, 1)
        while not ctx.get(dut.start):
            await ctx.tick()
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        while not ctx.get(dut.axi.arvalid):
            await ctx.tick()
        assert (ctx.get(dut.axi.araddr), ctx.get(dut.axi.arlen)) == (0x100, 3)
        ctx.set(dut.axi.arready, 1)
        await ctx.tick()
        words, given = {}, 0
        while not ctx.get(dut.done):
            ctx.set(dut.axi.rvalid, given < 4)
            ctx.set(dut.axi.rdata, 0x1000 + given)
            ctx.set(dut.axi.rlast, given == 3)
            given += ctx.get(dut.axi.rvalid) and ctx.get(dut.axi.rready)
            await ctx.tick()
            if ctx.get(dut.weight_write.valid):
                words[ctx.get(dut.weight_write.addr)] = ctx.get(dut.weight_write.data)
        assert words == {6 + n: 0x1000 + n for n in range(4)}

    run(dut, bench)
