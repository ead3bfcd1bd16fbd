"""The outer loops of compute commands, against loops in plain Python."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.compute_cases import passes, random_compute
from tests.hdl.configs import CONFIG
from tests.hdl.streams import Part, receive, reset, unpack
from tilewright.hdl.sequence.passes import pass_layout
from tilewright.isa import encode


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(3))
async def passes_come_loop_by_loop(dut, seed):
    part, rng = Part(dut, "passes"), random.Random(seed)
    part.clear("start", "o_ready")
    await reset(dut)
    for index in range(20):
        command = random_compute(rng, CONFIG)
        expected = list(passes(command, CONFIG))
        part.command.value = int.from_bytes(encode(command), "little") % (1 << len(part.command))
        part.start.value = 1
        await RisingEdge(dut.clk)
        part.start.value = 0
        words = await receive(part, "o", len(expected), rng, rng.choice((0.0, 0.5, 0.9)))
        found = [unpack(pass_layout(CONFIG), word) for word in words]
        assert found == expected, f"command {index}: {command}"
        for _ in range(rng.randrange(4)):
            await ReadOnly()
            assert not part.o_valid.value, f"command {index}: more passes than there are"
            await RisingEdge(dut.clk)
