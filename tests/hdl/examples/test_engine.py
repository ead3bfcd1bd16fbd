"""The compute unit, and the whole accelerator."""

from tests.hdl.examples import run
from tests.hdl.examples.test_control import read
from tilewright.hdl.compute import ComputeUnit
from tilewright.hdl.engine import Engine
from tilewright.isa import Compute, EngineConfig, encode
from tilewright.isa.registers import IDENTITY
from tilewright.sim.timing.compute import compute_timing

CONFIG = EngineConfig(
    rows=2, cols=2, requantizers=1, bus_width=32, act_depth=64, weight_depth=64, out_depth=64,
    pipelined=False,
)  # fmt: skip


def test_compute_unit():
    """One word of one pass, of two channels: what it computes, and when it is done."""
    dut = ComputeUnit(CONFIG)
    command = Compute(
        n_kg=1, n_oy=1, n_ox=1, n_cg=1, n_r=1, n_s=1, segment_log2=1, segment=2, last_segment=2,
        out_w=2, in_h=1, in_w=2, stride_x=1, signed=1, pad=0, act_base=0, act_row=0, act_ring=1,
        kg_step=0, cg_step=0, oy_step=0, r_step=0, y0=0, oy_dy=0, r_dy=0, x0=0, x0_word=0,
        x0_lane=0, s_dx=0, s_word=0, s_lane=0, weight_base=0, zero_point=0, qmin=-128, qmax=127,
        maximum=0, to_out=1, out_base=8, out_kg_step=0, out_row_step=0, to_act=0, dst_base=0,
        dst_lane=0, dst_step=1, dst_kg_step=0, dst_row_step=0, table=0, fence=0,
    )  # fmt: skip
    # Of both rows: no bias, multiplier 1, no shift. Then a weight of each channel: row 0 adds them,
    # row 1 takes the difference.
    parameters = 1 << CONFIG.acc_width
    words = [parameters >> 8 * k & 0xFF for k in range(CONFIG.param_words)]
    weights = [w | w << 8 for w in words] + [0x0101, 0xFF01]

    async def bench(ctx):
        ctx.set(dut.i.payload, int.from_bytes(encode(command), "little"))
        ctx.set(dut.i.valid, 1)
        for lane, pixel in enumerate(((10, 3), (20, 4))):
            ctx.set(dut.act_data[lane], pixel[0] | pixel[1] << 8)
        while not ctx.get(dut.start):
            await ctx.tick()
        results, cycles, addr = {}, 0, 0
        while not ctx.get(dut.done):
            await ctx.tick()
            cycles += 1
            ctx.set(dut.weight_data, weights[addr] if addr < len(weights) else 0)
            addr = ctx.get(dut.weight_addr)
            if ctx.get(dut.o_out.valid):
                results[ctx.get(dut.o_out.addr)] = ctx.get(dut.o_out.data)
        assert results == {8: 13 | 7 << 8, 9: 24 | 16 << 8}
        assert cycles == compute_timing(CONFIG, command).done

    run(dut, bench)


def test_engine():
    """It answers the host."""
    dut = Engine(CONFIG)

    async def bench(ctx):
        assert await read(ctx, dut.s_axil, "ID") == IDENTITY
        assert await read(ctx, dut.s_axil, "DIGEST") == CONFIG.digest
        assert not ctx.get(dut.irq)

    run(dut, bench)
