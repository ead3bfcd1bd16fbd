"""Both ends of the serial line, each against the line in plain Python."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.components import DIVISOR
from tests.hdl.streams import Part, receive, reset, send


async def cycles(dut, count):
    for _ in range(count):
        await RisingEdge(dut.clk)


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(2))
async def bytes_become_frames(dut, seed):
    transmitter, rng = Part(dut, "transmitter"), random.Random(seed)
    transmitter.clear("i_valid")
    await reset(dut)
    data, seen = rng.randbytes(20), bytearray()
    cocotb.start_soon(send(transmitter, "i", data, rng, rng.choice((0.0, 0.9, 0.98))))

    async def level():
        await ReadOnly()
        value = int(transmitter.tx.value)
        await RisingEdge(dut.clk)
        return value

    while len(seen) < len(data):
        if await level():
            continue
        levels = [0] + [await level() for _ in range(10 * DIVISOR - 1)]
        bits = levels[::DIVISOR]
        assert levels == [bit for bit in bits for _ in range(DIVISOR)]
        assert (bits[0], bits[9]) == (0, 1)
        seen.append(sum(bit << i for i, bit in enumerate(bits[1:9])))
    assert seen == data


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(2))
async def frames_become_bytes(dut, seed):
    receiver, rng = Part(dut, "receiver"), random.Random(seed)
    receiver.rx.value = 1
    receiver.clear("o_ready")
    await reset(dut)
    data = rng.randbytes(20)

    async def line():
        for byte in data:
            for bit in (0, *(byte >> i & 1 for i in range(8)), 1):
                receiver.rx.value = bit
                await cycles(dut, DIVISOR)
            await cycles(dut, rng.choice((0, rng.randint(1, 50))))

    cocotb.start_soon(line())
    # A byte waits for the next one to end, 40 cycles: at this pace it is taken in time.
    assert bytes(await receive(receiver, "o", len(data), rng, 0.6)) == data
