"""The host link's bridge, between frames, cocotbext-axi's registers and a memory."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteRam

from tests.boards.link.channel import Board, Faults
from tests.hdl.streams import Part, receive, reset, send, throttle
from tilewright.boards.link.frames import BLOCK, ESCAPE, FLAG, Operation, Request

REGISTER_BYTES = 256
FIFO_BYTES, MEMORY_BYTES = 64, 1024


async def memory(bridge, data, rng):
    """Answer the memory's port, late."""
    while True:
        await RisingEdge(bridge.clk)
        bridge.memory_ready.value = 0
        await ReadOnly()
        if not bridge.memory_valid.value or rng.random() < 0.6:
            continue
        address, word = int(bridge.memory_addr.value), int(bridge.memory_data.value)
        write = bool(bridge.memory_write.value)
        await RisingEdge(bridge.clk)
        bridge.memory_o.value = int.from_bytes(data[address : address + 4], "little")
        bridge.memory_ready.value = 1
        if write:
            data[address : address + 4] = word.to_bytes(4, "little")


def requests(rng):
    """Yield frames of a host that has been told to misbehave, and garbage."""
    session, sequence = rng.getrandbits(32) | 1, rng.getrandbits(8)
    yield Request(Operation.HELLO, session).encode(sequence)
    for _ in range(50):
        sequence += 1
        size = 4 * rng.choice((1, 1, 2, 5, BLOCK // 4))
        address = 4 * rng.randrange((MEMORY_BYTES - size) // 4 + 1)
        register = 4 * rng.randrange(8)
        data = rng.choice((rng.randbytes(size), bytes([FLAG, ESCAPE] * (size // 2))))
        request = rng.choice(
            (
                Request(Operation.READ_MEMORY, address, bytes([size - 1])),
                Request(Operation.WRITE_MEMORY, address, data),
                Request(Operation.READ_REGISTER, register),
                Request(Operation.WRITE_REGISTER, register, rng.randbytes(4)),
            )
        )
        frame = request.encode(sequence & 0xFF)
        trick = rng.random()
        if trick < 0.1:
            frame += frame  # doubled
        elif trick < 0.2:
            frame = request.encode(sequence + rng.randrange(256) & 0xFF) + frame
        elif trick < 0.3:
            frame = rng.randbytes(rng.randrange(20)) + frame
        elif trick < 0.4:
            frame = Faults(flipped=0.1).apply(frame, rng)
            sequence -= 1
        elif trick < 0.5:
            frame = Request(Operation.WRITE_MEMORY, address, bytes(5)).encode(sequence & 0xFF)
            sequence -= 1
        elif trick < 0.55:
            frame = bytes(BLOCK + 40)
            sequence -= 1
        elif trick < 0.6:
            session = rng.choice((session, rng.getrandbits(32) | 1))
            frame = Request(Operation.HELLO, session).encode(sequence & 0xFF)
        yield frame


@cocotb.test(timeout_time=4000, timeout_unit="us")
@cocotb.parametrize(seed=range(3))
async def it_answers_as_its_model_does(dut, seed):
    bridge, rng = Part(dut, "bridge"), random.Random(seed)
    bridge.clear("i_valid", "o_ready", "memory_ready")
    await reset(dut)
    ram = AxiLiteRam(bridge.bus(AxiLiteBus, "axil"), dut.clk, dut.rst, size=REGISTER_BYTES)
    write, read = ram.write_if, ram.read_if
    throttle(rng, write.aw_channel, write.w_channel, write.b_channel)
    throttle(rng, read.ar_channel, read.r_channel)
    ram.write(0, bytes(REGISTER_BYTES))
    data, model = bytearray(MEMORY_BYTES), Board(MEMORY_BYTES, FIFO_BYTES)
    cocotb.start_soon(memory(bridge, data, rng))
    sent = b"".join(requests(rng))
    answers = model.feed(sent)
    assert model.done > 10
    cocotb.start_soon(send(bridge, "i", sent, rng, share=0.1))
    assert bytes(await receive(bridge, "o", len(answers), rng, share=0.1)) == answers
    assert data == model.memory
    expected = b"".join(
        model.registers.get(4 * i, 0).to_bytes(4, "little") for i in range(REGISTER_BYTES // 4)
    )
    assert ram.read(0, REGISTER_BYTES) == expected
