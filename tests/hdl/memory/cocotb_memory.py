"""The board's memory, between cocotbext-axi's master and the host's port."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiBus, AxiMaster, AxiResp

from tests.hdl.components import MEMORY_BYTES
from tests.hdl.configs import CONFIG
from tests.hdl.streams import Part, reset, throttle

BEAT = CONFIG.bus_bytes
HALF = MEMORY_BYTES // 2


class Host:
    """The host's port."""

    def __init__(self, memory):
        self.memory = memory

    async def write(self, address, word):
        self.memory.host_data.value = word
        await self._access(address, write=True)

    async def read(self, address):
        return await self._access(address, write=False)

    async def _access(self, address, *, write):
        memory = self.memory
        memory.host_valid.value, memory.host_write.value, memory.host_addr.value = 1, write, address
        while True:
            await ReadOnly()
            done, word = int(memory.host_ready.value), int(memory.host_o.value)
            await RisingEdge(memory.clk)
            if done:
                break
        memory.host_valid.value = 0
        return word


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(seed=range(3))
async def master_and_host_see_the_same_bytes(dut, seed):
    memory, rng = Part(dut, "memory"), random.Random(seed)
    memory.clear("host_valid")
    await reset(dut)
    master = AxiMaster(memory.bus(AxiBus, "axi"), dut.clk, dut.rst)
    host, model = Host(memory), bytearray(MEMORY_BYTES)
    write, read = master.write_if, master.read_if
    throttle(rng, write.aw_channel, write.w_channel, write.b_channel)
    throttle(rng, read.ar_channel, read.r_channel)

    def place(start):
        """Return a random run of beats in one half of the memory."""
        beats = rng.choice((1, 2, rng.randint(1, 40)))
        return start + rng.randrange(HALF // BEAT - beats) * BEAT, beats * BEAT

    async def put(address, data, offset=0):
        # Identifiers other than 0 are not kept.
        answer = await master.write(address + offset, data, awid=0)
        assert answer.resp == AxiResp.OKAY
        model[address : address + len(data)] = data

    async def get(address, size, offset=0):
        answer = await master.read(address + offset, size, arid=0)
        assert answer.resp == AxiResp.OKAY
        assert answer.data == model[address : address + size], f"address 0x{address:x}"

    await put(0, rng.randbytes(MEMORY_BYTES))
    for _ in range(12):
        # Both directions at once, each in its own half.
        (to, size), source = place(0), place(HALF)
        running = cocotb.start_soon(put(to, rng.randbytes(size)))
        await get(*source)
        await running
        await get(to, size)
        for _ in range(4):
            address = rng.randrange(MEMORY_BYTES // 4) * 4
            if rng.random() < 0.5:
                word = rng.randbytes(4)
                await host.write(address, int.from_bytes(word, "little"))
                model[address : address + 4] = word
            word = await host.read(address)
            assert word.to_bytes(4, "little") == model[address : address + 4]
    # Addresses wrap.
    await put(0x40, rng.randbytes(64), offset=5 * MEMORY_BYTES)
    await get(0x40, 64)
    await get(0, MEMORY_BYTES)
