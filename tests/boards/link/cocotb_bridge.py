"""The host link's bridge, between a stream of requests, cocotbext-axi's registers and a memory."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteRam

from tests.hdl.streams import Part, receive, reset, send, throttle

REGISTER_BYTES = 256


async def memory(bridge, words, rng):
    """Answer the memory's port, sooner or later."""
    bridge.memory_ready.value = 0
    while True:
        await ReadOnly()
        asked, address = int(bridge.memory_valid.value), int(bridge.memory_addr.value)
        if asked and bridge.memory_ready.value and bridge.memory_write.value:
            words[address] = int(bridge.memory_data.value)
        done = asked and bridge.memory_ready.value
        await RisingEdge(bridge.clk)
        ready = bool(asked and not done and rng.random() < 0.5)
        bridge.memory_ready.value = ready
        bridge.memory_o.value = words.get(address, 0) if ready else rng.getrandbits(32)


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(seed=range(3))
async def every_request_is_answered(dut, seed):
    bridge, rng = Part(dut, "bridge"), random.Random(seed)
    bridge.clear("i_valid", "o_ready")
    await reset(dut)
    ram = AxiLiteRam(bridge.bus(AxiLiteBus, "axil"), dut.clk, dut.rst, size=REGISTER_BYTES)
    write, read = ram.write_if, ram.read_if
    throttle(rng, write.aw_channel, write.w_channel, write.b_channel)
    throttle(rng, read.ar_channel, read.r_channel)
    registers, words, actual = {}, {}, {}
    cocotb.start_soon(memory(bridge, actual, rng))
    ram.write(0, bytes(REGISTER_BYTES))
    requests, answers = b"", b""
    places = [rng.getrandbits(30) * 4 for _ in range(4)]
    for _ in range(60):
        kind = rng.choice(b"RRWWrrww?x")
        if kind in b"RW":
            store, address = registers, rng.randrange(REGISTER_BYTES // 4) & 7
            address *= 4
        else:
            store, address = words, rng.choice(places)
        requests += bytes([kind])
        if kind in b"RWrw":
            requests += address.to_bytes(4, "little")
        if kind in b"Ww":
            word = rng.getrandbits(32)
            requests += word.to_bytes(4, "little")
            store[address] = word
            answers += b"K"
        elif kind in b"Rr":
            answers += store.get(address, 0).to_bytes(4, "little")
        else:
            answers += b"?"
    cocotb.start_soon(send(bridge, "i", requests, rng))
    assert bytes(await receive(bridge, "o", len(answers), rng)) == answers
    assert actual == words
    assert ram.read(0, REGISTER_BYTES) == b"".join(
        registers.get(4 * i, 0).to_bytes(4, "little") for i in range(REGISTER_BYTES // 4)
    )
