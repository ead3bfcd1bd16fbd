"""From buffers to the windows that the array multiplies."""

from tests.hdl.examples import run
from tilewright.hdl.windows.bilinear import Bilinear, FabricMultiplier
from tilewright.hdl.windows.factor import Factor
from tilewright.hdl.windows.offsets import OffsetSequencer
from tilewright.hdl.windows.sampler import Sampler
from tilewright.hdl.windows.window import WindowFeeder
from tilewright.isa import EngineConfig


def test_fabric_multiplier():
    dut = FabricMultiplier(a_width=9, b_width=8)

    async def bench(ctx):
        ctx.set(dut.a, -200)
        ctx.set(dut.b, 255)
        await ctx.tick().repeat(dut.LATENCY)
        assert ctx.get(dut.p) == -200 * 255

    run(dut, bench)


def test_bilinear():
    dut = Bilinear(fraction=4, mask_fraction=4)

    async def bench(ctx):
        # A quarter of the way to the right, half of the way down; the mask lets all through.
        values = {"p_00": 10, "p_01": 50, "p_10": 30, "p_11": 70, "fx": 4, "fy": 8, "mask": 16}
        for name, value in values.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick().repeat(dut.LATENCY)
        assert ctx.get(dut.o) == (20 + 40) // 2

    run(dut, bench)


def test_factor():
    """Two pixels of two channels, one after the other, less their zero point of -3."""
    dut = Factor(EngineConfig(rows=2, cols=2))

    async def bench(ctx):
        ctx.set(dut.zero, 0x100 - 3)
        ctx.set(dut.signed, 1)
        await ctx.tick().repeat(2)
        ctx.set(dut.window[0], 0x80_10)  # of two channels
        ctx.set(dut.window[1], 0x7F_20)
        ctx.set(dut.arrives, 1)
        await ctx.tick()
        ctx.set(dut.arrives, 0)
        await ctx.tick()
        ctx.set(dut.window[0], 0)  # the window that follows
        await ctx.tick().repeat(dut.LATENCY - 2)
        first = [ctx.get(dut.w[k]) for k in range(2)]
        await ctx.tick()
        second = [ctx.get(dut.w[k]) for k in range(2)]
        assert (first, second) == ([0x10 + 3, -128 + 3], [0x20 + 3, 127 + 3])

    run(dut, bench)


def test_window_feeder():
    """A window from column 1 on: one pixel of either lane, the second one outside the input."""
    config = EngineConfig(rows=2, cols=2)
    dut = WindowFeeder(config)

    async def bench(ctx):
        for name, value in {"stride_x": 1, "in_w": 2, "pad": 0x7F}.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick().repeat(2)
        for name, value in {"row_valid": 1, "x": 1, "word": 0, "lane": 1, "row": 4}.items():
            ctx.set(dut.access[name], value)
        ctx.set(dut.access_valid, 1)
        await ctx.tick()
        ctx.set(dut.access_valid, 0)
        ctx.set(dut.i_lanes[0], 0x1110)  # of two channels
        ctx.set(dut.i_lanes[1], 0x2120)
        await ctx.tick().repeat(dut.latency(config) - 1)
        pixels = [ctx.get(dut.window[j]) for j in range(2)]
        mask, width = 0xFF, config.window_width
        channels = [[p >> width * k & mask for k in range(2)] for p in pixels]
        assert channels == [[0x20, 0x21], [0x7F, 0x7F]]

    run(dut, bench)


def test_offset_sequencer():
    """Of two taps of one pass: a word of offsets for each pixel, tap after tap."""
    config = EngineConfig(rows=4, cols=2, offset_depth=64)
    dut = OffsetSequencer(config)

    async def bench(ctx):
        for name in ("n_ox", "n_oy"):
            ctx.set(dut.command[name], 1)
        deform = {"taps": 2, "shared": 1, "offset_base": 16, "group_step": 8, "row_step": 2}
        for name, value in deform.items():
            ctx.set(dut.deform[name], value)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick()
        places = []
        for tap in range(2):
            ctx.set(dut.take, 1)
            ctx.set(dut.last, tap == 1)
            await ctx.tick()
            ctx.set(dut.take, 0)
            for _ in range(config.cols):
                places.append((ctx.get(dut.addr), ctx.get(dut.byte)))
                await ctx.tick()
        assert places == [(16, 0), (17, 0), (16, 2), (17, 2)]  # dy and dx are a byte each

    run(dut, bench)


def test_sampler():
    """Half of the way between two columns."""
    config = EngineConfig(rows=2, cols=2, requantizers=2, offset_depth=64)
    dut = Sampler(config)

    async def bench(ctx):
        for name, value in {"stride_x": 1, "in_h": 4, "in_w": 4, "act_ring": 8}.items():
            ctx.set(dut.command[name], value)
        limits = {"fraction": 4, "dy_least": -128, "dy_most": 127}
        for name, value in limits.items():
            ctx.set(dut.deform[name], value)
        await ctx.tick().repeat(3)
        for lane, pixel in enumerate((10, 30)):
            for half in range(2):
                ctx.set(dut.i_lanes[lane][half], pixel | pixel + 4 << 8)
        ctx.set(dut.offsets, 8 << 8)  # dy is 0, dx is 8 / 16
        ctx.set(dut.access.row_valid, 1)
        ctx.set(dut.access_valid, 1)
        await ctx.tick()
        ctx.set(dut.access_valid, 0)
        await ctx.tick().repeat(dut.LATENCY - 1)
        assert ctx.get(dut.sample) == 20 | 24 << 8

    run(dut, bench)
