"""The store unit (and with it packer and writer) against cocotbext-axi's memory."""

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiRamWrite, AxiWriteBus

from tests.hdl.configs import MEMORY_BYTES, OUT_WORDS, store_cases
from tests.hdl.streams import reset, seeded, send, throttle
from tilewright.compiler.isa import encode


async def buffer(dut, words):
    """Answer ``out_addr`` two cycles later."""
    pending = [0, 0]
    while True:
        await ReadOnly()
        pending.append(int(dut.out_addr.value))
        await RisingEdge(dut.clk)
        dut.out_data.value = words[pending.pop(1) % len(words)]
        pending.pop(0)
        pending.insert(0, 0)


@cocotb.test()
async def results_arrive_in_memory(dut):
    await reset(dut)
    ram = AxiRamWrite(AxiWriteBus.from_prefix(dut, "axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
    words = [0] * OUT_WORDS
    cocotb.start_soon(buffer(dut, words))
    for signal in ("halt", "base", "done_load", "done_compute"):
        getattr(dut, signal).value = 0
    for seed in range(4):
        rng = seeded(seed)
        throttle(rng, ram.aw_channel, ram.w_channel, ram.b_channel)
        commands, expected, width = store_cases(rng)
        words[:] = [rng.getrandbits(width) for _ in words]
        ram.write(0, bytes(MEMORY_BYTES))
        await send(dut, "i", [int.from_bytes(encode(c), "little") for c in commands], rng)
        for _ in range(20_000):
            await RisingEdge(dut.clk)
            if not dut.busy.value:
                break
        assert not dut.error.value
        assert ram.read(0, MEMORY_BYTES) == expected(words), f"seed {seed}"
