"""The load unit (and with it reader, burst cutter, unpacker) against cocotbext-axi's memory."""

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiRamRead, AxiReadBus

from tests.hdl.configs import MEMORY_BYTES, load_cases
from tests.hdl.streams import record, reset, seeded, send, throttle
from tilewright.compiler.isa import Unit, encode


@cocotb.test()
async def loads_arrive_where_they_belong(dut):
    for seed in range(3):
        rng = seeded(seed)
        commands, expected = load_cases(rng)
        await reset(dut) if seed == 0 else await RisingEdge(dut.clk)
        if seed == 0:
            ram = AxiRamRead(
                AxiReadBus.from_prefix(dut, "axi"), dut.clk, dut.rst, size=MEMORY_BYTES
            )
            logs = {"act_write": [], "weight_write": [], "fetch_1": []}
            cocotb.start_soon(record(dut, "act_write", logs["act_write"], "lane", "addr", "data"))
            cocotb.start_soon(record(dut, "weight_write", logs["weight_write"], "addr", "data"))
            cocotb.start_soon(record(dut, "fetch_1", logs["fetch_1"], "data"))
        for log in logs.values():
            log.clear()
        for signal in ("halt", "base", "done_compute", "done_store", "boot_valid"):
            getattr(dut, signal).value = 0
        ram.write(0, bytes(rng.randrange(256) for _ in range(MEMORY_BYTES)))
        throttle(rng, ram.ar_channel, ram.r_channel)
        memory = ram.read(0, MEMORY_BYTES)
        words = [int.from_bytes(encode(command), "little") for command in commands]
        assert all(command.UNIT is Unit.LOAD for command in commands)
        await send(dut, "i", words, rng)
        for _ in range(20_000):
            await RisingEdge(dut.clk)
            if not dut.busy.value:
                break
        assert not dut.error.value
        for name, log in logs.items():
            assert log == expected(name, memory), f"seed {seed}: {name}"
