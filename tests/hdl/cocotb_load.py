"""The load unit (and with it reader, burst cutter, unpacker) against cocotbext-axi's memory."""

import random

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiRamRead, AxiReadBus

from tests.hdl.configs import CONFIGS, MEMORY_BYTES, load_cases
from tests.hdl.streams import Part, record, reset, send, throttle
from tilewright.isa import Unit, encode


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(config=tuple(CONFIGS), seed=range(3))
async def loads_arrive_where_they_belong(dut, config, seed):
    load, rng = Part(dut, f"load_{config}"), random.Random(seed)
    commands, expected = load_cases(rng, CONFIGS[config])
    load.clear("halt", "base", "done_compute", "done_store", "boot_valid", "i_valid")
    await reset(dut)
    ram = AxiRamRead(load.bus(AxiReadBus, "axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
    logs = {"act_write": [], "weight_write": [], "fetch_1": []}
    cocotb.start_soon(record(load, "act_write", logs["act_write"], "lane", "addr", "data"))
    cocotb.start_soon(record(load, "weight_write", logs["weight_write"], "addr", "data"))
    if CONFIGS[config].offset_depth:
        logs["offset_write"] = []
        cocotb.start_soon(record(load, "offset_write", logs["offset_write"], "addr", "data"))
    cocotb.start_soon(record(load, "fetch_1", logs["fetch_1"], "data"))
    memory = rng.randbytes(MEMORY_BYTES)
    ram.write(0, memory)
    throttle(rng, ram.ar_channel, ram.r_channel)
    words = [int.from_bytes(encode(command), "little") for command in commands]
    assert all(command.UNIT is Unit.LOAD for command in commands)
    await send(load, "i", words, rng)
    await RisingEdge(dut.clk)
    while load.busy.value:
        await RisingEdge(dut.clk)
    assert not load.error.value
    for name, log in logs.items():
        assert log == expected(name, memory), name
