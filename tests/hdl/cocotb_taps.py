"""The inner loops of compute commands, against loops in plain Python."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.compute_cases import passes, random_compute, segments
from tests.hdl.configs import CONFIG
from tests.hdl.streams import Part, pack, receive, reset, send, unpack
from tilewright.hdl.sequence.passes import pass_layout
from tilewright.hdl.sequence.taps import segment_layout
from tilewright.isa import encode


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(3))
async def segments_come_loop_by_loop(dut, seed):
    taps, rng = Part(dut, "taps"), random.Random(seed)
    taps.clear("i_valid", "o_ready")
    await reset(dut)
    layout = segment_layout(CONFIG)
    for index in range(12):
        command = random_compute(rng, CONFIG)
        taps.command.value = int.from_bytes(encode(command), "little") % (1 << len(taps.command))
        for _ in range(4):  # what is derived from the command follows it
            await RisingEdge(dut.clk)
        all_passes = list(passes(command, CONFIG))
        expected = [
            {name: segment[name] for name, _ in layout}
            for one_pass in all_passes
            for segment in segments(command, CONFIG, one_pass)
        ]
        words = [pack(pass_layout(CONFIG), one_pass) for one_pass in all_passes]
        cocotb.start_soon(send(taps, "i", words, rng, rng.choice((0.0, 0.5, 0.95))))
        # A pass lasts two cycles at least.
        pace = rng.choice((0.0, 0.5, 0.9)) if command.n_cg * command.n_r * command.n_s > 1 else 0.7
        found = await receive(taps, "o", len(expected), rng, pace)
        assert [unpack(layout, word) for word in found] == expected, f"command {index}: {command}"
        for _ in range(4):
            await ReadOnly()
            assert not taps.o_valid.value, f"command {index}: more segments than there are"
            await RisingEdge(dut.clk)
