"""Runs inside the simulator: the engine between cocotbext-axi's memory and master."""

import os
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

from tilewright.isa import Unit
from tilewright.isa.registers import IDENTITY, OFFSET, Status
from tilewright.program import Program


def pauses(rng, share):
    while True:
        yield rng.random() < share


async def reset(dut):
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    dut.rst.value = 1
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


@cocotb.test()
async def network_gives_pytorch_outputs(dut):
    """Two images, the second under random back-pressure on every channel."""
    program = Program.load(os.environ["PROGRAM"])
    vectors = np.load(os.environ["VECTORS"])
    await reset(dut)
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
    ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=program.image.size)
    assert await master.read_dword(OFFSET["ID"]) == IDENTITY
    assert await master.read_dword(OFFSET["DIGEST"]) == program.engine.digest
    await master.write_dword(OFFSET["BASE"], 0)
    await master.write_dword(OFFSET["PROGRAM"], program.streams[Unit.LOAD][0])
    await master.write_dword(OFFSET["COUNT"], program.boot_count)
    for index, image in enumerate(vectors["images"]):
        seed = 1000 + index
        if index:
            rng = random.Random(seed)
            read, write = ram.read_if, ram.write_if
            for channel in (
                read.ar_channel, read.r_channel, write.aw_channel, write.w_channel, write.b_channel,
            ):  # fmt: skip
                channel.set_pause_generator(pauses(rng, rng.uniform(0.1, 0.5)))
            for channel in (
                master.read_if.ar_channel, master.read_if.r_channel, master.write_if.aw_channel,
                master.write_if.w_channel, master.write_if.b_channel,
            ):  # fmt: skip
                channel.set_pause_generator(pauses(rng, 0.3))
        (tensor,) = program.quantize(image)
        ram.write(0, program.memory([tensor]).tobytes())
        await master.write_dword(OFFSET["INTERRUPT"], 0b11)
        await master.write_dword(OFFSET["CONTROL"], 1)
        await RisingEdge(dut.irq)
        status = await master.read_dword(OFFSET["STATUS"])
        assert status & 0xFF == Status.DONE, f"seed {seed}: {Status(status & 0xFF).name}"
        memory = np.frombuffer(ram.read(0, program.image.size), np.uint8)
        np.testing.assert_array_equal(
            program.outputs(memory)[0][0], vectors["expected"][index], err_msg=f"seed {seed}"
        )
        # The interrupt is level: it stays until it is cleared.
        assert dut.irq.value == 1
        await master.write_dword(OFFSET["INTERRUPT"], 0b11)
        assert await master.read_dword(OFFSET["INTERRUPT"]) == 0b10
        assert dut.irq.value == 0
