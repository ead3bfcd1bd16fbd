"""From accumulators to results."""

from tests.hdl.examples import run
from tilewright.hdl.drain.fold import Fold
from tilewright.hdl.drain.lookup import Lookup
from tilewright.hdl.drain.partial import PartialSums
from tilewright.hdl.drain.requantize import Requantize
from tilewright.hdl.drain.unit import Drain
from tilewright.isa import EngineConfig


def test_requantize():
    dut = Requantize(acc_width=32, multiplier_width=18, dsp="inferred", pipelined=True)

    async def bench(ctx):
        # (1000 + 24) * 3 / 2**6 = 48, and 10 more for the zero point.
        values = {"acc": 1000, "bias": 24, "multiplier": 3, "shift": 6}
        values |= {"zero_point": 10, "qmin": -128, "qmax": 127}
        for name, value in values.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick().repeat(dut.latency(True))
        assert ctx.get(dut.o) == 58
        ctx.set(dut.qmax, 40)  # a result above it is cut
        await ctx.tick().repeat(dut.latency(True))
        assert ctx.get(dut.o) == 40

    run(dut, bench)


def test_lookup():
    dut = Lookup(tables=1)

    async def bench(ctx):
        ctx.set(dut.write.valid, 1)
        ctx.set(dut.write.addr, 7)
        ctx.set(dut.write.data, 99)
        await ctx.tick()
        ctx.set(dut.write.valid, 0)
        ctx.set(dut.i, 7)
        for table, byte in ((0, 7), (1, 99)):  # table 0 is none
            ctx.set(dut.table, table)
            await ctx.tick().repeat(dut.LATENCY + 1)
            assert ctx.get(dut.o) == byte

    run(dut, bench)


def test_partial_sums():
    """The sums of two commands, the second of which shows the totals."""
    config = EngineConfig(
        rows=2, cols=2, data_width=13, kernel_width=13, partial_depth=64, requantizers=2
    )
    dut = PartialSums(config)

    async def bench(ctx):
        for name in ("tile_h", "tile_w", "rows_used", "columns_used"):
            ctx.set(dut.tile[name], 1)
        totals = []
        for sums, last in (((10, 20), 0), ((1, -2), 1)):
            ctx.set(dut.tile.first, not last)
            ctx.set(dut.tile.last, last)
            for name in ("start", "begins", "ends"):
                ctx.set(getattr(dut, name), 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for pixel in range(config.drain_cycles):  # of requantizer 0, pixel after pixel
                ctx.set(dut.acc[0], sums[pixel])
                await ctx.tick()
            launched = False
            for _ in range(16):
                if launched and len(totals) < config.drain_cycles:
                    totals.append(ctx.get(dut.total[0]))
                launched = launched or bool(ctx.get(dut.launch) and not ctx.get(dut.blank))
                await ctx.tick()
        assert totals == [11, 18]

    run(dut, bench)


def test_fold():
    """Sums of the upper half go to the lower half, and those of its upper half to its lower."""
    dut = Fold(EngineConfig(rows=8, cols=2, folds=2))

    async def bench(ctx):
        for row in range(8):
            ctx.set(dut.i[row], 10**row)
        for fold, first in ((0, 1), (1, 10001), (2, 1010101)):
            ctx.set(dut.fold, fold)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await ctx.tick().repeat(2)
            assert ctx.get(dut.o[0]) == first
            assert ctx.get(dut.o[7]) == 10**7

    run(dut, bench)


def test_drain():
    """Sums of one pass become a word of each pixel in the output buffer."""
    config = EngineConfig(rows=2, cols=2, requantizers=1, pipelined=False, bus_width=32)
    dut = Drain(config)

    async def bench(ctx):
        # Of both rows: bias 5, multiplier 3, shift 1.
        parameters = 5 | 3 << config.acc_width | 1 << config.acc_width + config.multiplier_width
        ctx.set(dut.parameter, 1)
        for word in range(config.param_words):  # each a cycle after it is announced
            await ctx.tick()
            ctx.set(dut.parameter, word < config.param_words - 1)
            for row in range(2):
                ctx.set(dut.parameter_word[row], parameters >> word * config.weight_bits & 0xFF)
        await ctx.tick()
        for row, sums in enumerate(((1, 3), (-5, 100))):
            for pixel, value in enumerate(sums):
                ctx.set(dut.acc[row][pixel], value)
        for name, value in {"out": 6, "pixels": 2}.items():
            ctx.set(dut.i.place[name], value)
        for name, value in {"to_out": 1, "step": 1}.items():
            ctx.set(dut.i.target[name], value)
        for name, value in {"qmin": -128, "qmax": 127}.items():
            ctx.set(dut.i.bounds[name], value)
        for name in ("capture", "new_parameters", "last"):
            ctx.set(getattr(dut, name), 1)
        await ctx.tick()
        for name in ("capture", "new_parameters", "last"):
            ctx.set(getattr(dut, name), 0)
        words = {}
        while not ctx.get(dut.done):
            await ctx.tick()
            if ctx.get(dut.o_out.valid):
                words[ctx.get(dut.o_out.addr)] = ctx.get(dut.o_out.data)
        # (1 + 5) * 3 / 2 = 9 and (-5 + 5) * 3 / 2 = 0; 12, and 157.5, which is cut to 127.
        assert words == {6: 9, 7: 12 | 127 << 8}

    run(dut, bench)
