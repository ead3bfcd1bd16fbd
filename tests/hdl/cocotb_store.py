"""The store unit (and with it packer and writer) against cocotbext-axi's memory."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiRamWrite, AxiWriteBus

from tests.hdl.configs import CONFIGS, MEMORY_BYTES, store_cases
from tests.hdl.streams import Part, reset, send, throttle
from tilewright.hdl.store.pack import Pack
from tilewright.isa import encode


async def buffer(store, words, config):
    """Answer ``out_addr``."""
    pending = [0] * Pack.out_latency(config)
    while True:
        await ReadOnly()
        pending.append(int(store.out_addr.value))
        await RisingEdge(store.clk)
        pending.pop(0)
        store.out_data.value = words[pending[0] % len(words)]


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(config=tuple(CONFIGS), seed=range(4))
async def results_arrive_in_memory(dut, config, seed):
    store, rng = Part(dut, f"store_{config}"), random.Random(seed)
    commands, expected, width = store_cases(rng, CONFIGS[config])
    words = [rng.getrandbits(width) for _ in range(CONFIGS[config].out_depth)]
    store.clear("halt", "base", "done_load", "done_compute", "i_valid")
    await reset(dut)
    ram = AxiRamWrite(store.bus(AxiWriteBus, "axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
    cocotb.start_soon(buffer(store, words, CONFIGS[config]))
    throttle(rng, ram.aw_channel, ram.w_channel, ram.b_channel)
    await send(store, "i", [int.from_bytes(encode(c), "little") for c in commands], rng)
    await RisingEdge(dut.clk)
    while store.busy.value:
        await RisingEdge(dut.clk)
    assert not store.error.value
    assert ram.read(0, MEMORY_BYTES) == expected(words)
