"""The skid buffer: what goes in comes out, at any pace of both sides."""

import random

import cocotb

from tests.hdl.streams import Part, receive, reset, send


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(3))
async def items_come_out_in_order(dut, seed):
    skid, rng = Part(dut, "skid"), random.Random(seed)
    skid.clear("i_valid", "o_ready")
    await reset(dut)
    for into in (0.0, 0.3, 0.8):
        for out in (0.0, 0.3, 0.8):
            items = [rng.getrandbits(16) for _ in range(60)]
            cocotb.start_soon(send(skid, "i", items, rng, into))
            assert await receive(skid, "o", len(items), rng, out) == items
