"""Runs inside the simulator: the host link's own code at the other end of the serial line."""

import os

import cocotb
import numpy as np
from cocotb.task import bridge, resume
from cocotb.triggers import FallingEdge, Timer

from tests.hdl.streams import reset
from tilewright.boards.link.host import HostLink
from tilewright.device import Device
from tilewright.program import Program

BIT_NS = 10 * int(os.environ["DIVISOR"])
IDLE_BITS = 3000  # after so long a silence a read gives up


class Cable:
    """A serial port whose wires are the simulated pins."""

    def __init__(self, dut):
        self._dut = dut
        self._received = bytearray()
        self.write, self.read = resume(self._write), resume(self._read)
        cocotb.start_soon(self._listen())

    async def _write(self, data):
        for byte in data:
            for bit in (0, *((byte >> i) & 1 for i in range(8)), 1):
                self._dut.uart_rx.value = bit
                await Timer(BIT_NS, "ns")

    async def _listen(self):
        while True:
            await FallingEdge(self._dut.uart_tx)
            await Timer(BIT_NS // 2, "ns")
            byte = 0
            for i in range(8):
                await Timer(BIT_NS, "ns")
                byte |= int(self._dut.uart_tx.value) << i
            await Timer(BIT_NS, "ns")
            assert self._dut.uart_tx.value == 1, "no stop bit"
            self._received.append(byte)

    async def _read(self, size):
        for _ in range(IDLE_BITS):
            if len(self._received) >= size:
                break
            await Timer(BIT_NS, "ns")
        data = bytes(self._received[:size])
        del self._received[:size]
        return data


@cocotb.test()
async def a_layer_comes_back_right(dut):
    program = Program.load(os.environ["PROGRAM"])
    with np.load(os.environ["VECTORS"]) as vectors:
        image, expected = vectors["image"], vectors["expected"]
    dut.uart_rx.value = 1
    await reset(dut)
    cable = Cable(dut)

    def run():
        device = Device(HostLink(cable, patience=0.0), name="the simulated board")
        device.load(program)
        return device.run([image[None]])

    result = await bridge(run)()
    np.testing.assert_array_equal(result.outputs[0][0], expected)
    assert dut.led.value == 0  # nobody asked for an interrupt
