"""On-chip memories."""

from tests.hdl.examples import run
from tilewright.hdl.buffers.activations import ActivationBuffer
from tilewright.hdl.buffers.offsets import OffsetBuffer
from tilewright.hdl.buffers.results import ResultBanks
from tilewright.hdl.buffers.weights import WeightBuffer
from tilewright.hdl.buffers.words import WordBuffer
from tilewright.isa import EngineConfig

CONFIG = EngineConfig(
    rows=2, cols=2, act_depth=16, weight_depth=16, out_depth=16, offset_depth=16, bus_width=32
)


async def write(ctx, port, **fields):
    for name, value in ({"valid": 1} | fields).items():
        ctx.set(getattr(port, name), value)
    await ctx.tick()
    ctx.set(port.valid, 0)


def test_word_buffer():
    dut = WordBuffer(width=16, depth=16, parts=2, dsp="inferred")

    async def bench(ctx):
        await write(ctx, dut.i, addr=3, data=0xBEEF)
        await ctx.tick()
        for part, byte in ((6, 0xEF), (7, 0xBE)):
            ctx.set(dut.addr, part)
            await ctx.tick().repeat(dut.latency(True))
            assert ctx.get(dut.o) == byte

    run(dut, bench)


def test_result_banks():
    """An odd and an even word come in one cycle, and are read one after the other."""
    dut = ResultBanks(EngineConfig(rows=2, cols=4, requantizers=4, out_depth=16, bus_width=32))

    async def bench(ctx):
        ctx.set(dut.i_odd.valid, 1)
        ctx.set(dut.i_odd.addr, 16)  # a ring: behind word 15 comes word 0
        ctx.set(dut.i_odd.data, 0xCAFE)
        await write(ctx, dut.i, addr=15, data=0xBEEF)
        ctx.set(dut.i_odd.valid, 0)
        await ctx.tick()
        for addr, word in ((15, 0xBEEF), (16, 0xCAFE)):
            ctx.set(dut.addr, addr)
            await ctx.tick().repeat(WordBuffer.latency(True))
            assert ctx.get(dut.o) == word

    run(dut, bench)


def test_weight_buffer():
    dut = WeightBuffer(CONFIG)

    async def bench(ctx):
        await write(ctx, dut.i, addr=5, data=0x7F81)  # of row 0, the low byte
        await ctx.tick()
        ctx.set(dut.addr, 5)
        await ctx.tick().repeat(dut.latency(CONFIG))
        assert ctx.get(dut.o) == 0x7F81

    run(dut, bench)


def test_activation_buffer():
    dut = ActivationBuffer(CONFIG)

    async def bench(ctx):
        # Pixels 4 and 5 of a row: word 2 of lanes 0 and 1.
        await write(ctx, dut.i_load, lane=0, addr=2, data=0x0104)
        await write(ctx, dut.i_load, lane=1, addr=2, data=0x0105)
        await ctx.tick().repeat(6)
        for lane in range(2):
            ctx.set(dut.addr[lane][0], 1)  # even words are in the first half, by half the address
        await ctx.tick().repeat(dut.latency(CONFIG))
        assert [ctx.get(dut.o[lane][0]) for lane in range(2)] == [0x0104, 0x0105]

    run(dut, bench)


def test_offset_buffer():
    dut = OffsetBuffer(CONFIG)

    async def bench(ctx):
        await write(ctx, dut.i, addr=1, data=0x1234)
        await write(ctx, dut.i, addr=9, data=0x5678)  # in the other half
        ctx.set(dut.addr, 1)
        ctx.set(dut.mask_addr, 9)
        await ctx.tick().repeat(dut.LATENCY)
        assert (ctx.get(dut.offsets), ctx.get(dut.masks)) == (0x1234, 0x5678)

    run(dut, bench)
