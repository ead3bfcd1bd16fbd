"""The control registers through cocotbext-axi's master, with back-pressure on every channel."""

import cocotb
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from tests.hdl.streams import reset, seeded, throttle
from tilewright.compiler.isa import ISA_VERSION
from tilewright.compiler.isa.registers import IDENTITY, OFFSET, Status


@cocotb.test()
async def registers_keep_what_is_written(dut):
    rng = seeded(1)
    for name in ("quiet", "boot_ready", "finished", "overflow", "done", "busy", "steps",
                 "stall_load", "stall_store", "stall_command", "stall_result", "read_beat",
                 "write_beat",
                 *(f"fault_{k}_error" for k in range(3))):  # fmt: skip
        getattr(dut, name).value = 0
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "axil"), dut.clk, dut.rst)
    await reset(dut)
    write, read = master.write_if, master.read_if
    throttle(rng, write.aw_channel, write.w_channel, write.b_channel)
    throttle(rng, read.ar_channel, read.r_channel)
    masks = {"BASE": 0xFFFFF000, "PROGRAM": 0xFFFFFFFF, "COUNT": 0xFFFF, "WATCHDOG": 0xFFFFFFFF}
    model = dict.fromkeys(masks, 0)
    for _ in range(200):
        name = rng.choice(tuple(masks))
        if rng.random() < 0.5:
            value = rng.getrandbits(32)
            answer = await master.write(OFFSET[name], value.to_bytes(4, "little"))
            assert answer.resp == AxiResp.OKAY
            model[name] = value & masks[name]
        else:
            assert await master.read_dword(OFFSET[name]) == model[name]
    assert await master.read_dword(OFFSET["ID"]) == IDENTITY
    assert await master.read_dword(OFFSET["VERSION"]) == ISA_VERSION
    assert await master.read_dword(OFFSET["CYCLES"]) == 0
    dut.quiet.value = dut.boot_ready.value = 1
    await master.write_dword(OFFSET["CONTROL"], 1)
    assert await master.read_dword(OFFSET["STATUS"]) == Status.RUNNING
